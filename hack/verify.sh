#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks what a reviewer should not have to look at. Changes nothing. Every
# check runs, so that one round shows all there is to mend.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=()
check() {
	local name=$1
	shift
	echo "== $name"
	"$@" || failed+=("$name")
}

formatted() {
	local files
	files=$(git ls-files --cached --others --exclude-standard '*.go' |
		grep -v -E 'zz_generated|\.pb\.go$|^pkg/generated/' | xargs gofmt -l)
	[[ -z $files ]] || { printf 'gofmt would change these (make fmt):\n%s\n' "$files"; return 1; }
}

headers() {
	local files
	files=$(git ls-files --cached --others --exclude-standard '*.go' '*.sh' 'Makefile' |
		grep -v -E 'zz_generated|\.pb\.go$|^pkg/generated/' |
		xargs grep -L 'SPDX-License-Identifier: Apache-2.0') || true
	[[ -z $files ]] || { printf 'These lack the licence header:\n%s\n' "$files"; return 1; }
}

tidy() {
	local module
	for module in . hack/tools/*; do
		[[ -e $module/go.mod ]] || continue
		(cd "$module" && go mod tidy -diff) || { echo "go mod tidy would change $module/go.mod or go.sum"; return 1; }
	done
}

check "gofmt" formatted
check "licence headers" headers
check "go vet" go vet ./...
check "go mod tidy" tidy
check "generated code" hack/verify-codegen.sh
check "golangci-lint" go tool -modfile=hack/tools/lint/go.mod golangci-lint run ./...

if ((${#failed[@]})); then
	printf 'Failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
echo "All checks passed."

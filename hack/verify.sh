#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks what a reviewer should not have to look at. Changes nothing. Every
# check runs, so one round shows everything that there is to fix.

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
	for module in . hack/tools/* test/conformance test/e2e test/e2e/*; do
		[[ -e $module/go.mod ]] || continue
		(cd "$module" && go mod tidy -diff) || { echo "go mod tidy would change $module/go.mod or go.sum"; return 1; }
	done
}

# Comments, pages, and the texts of programs. Each finding has the better wording.
wording() {
	go run ./hack/phrases || { echo "hack/phrases/phrases.yaml lists the phrases and the exceptions"; return 1; }
}

# Packages of the other modules are not part of ./...
vet() {
	local module status=0
	for module in . hack/tools/image test/conformance test/e2e; do
		go vet -C "$module" ./... || status=1
	done
	return "$status"
}

lint() {
	local tools=$PWD/hack/tools/lint/go.mod module status=0
	for module in . test/conformance test/e2e; do
		(cd "$module" && go tool -modfile="$tools" golangci-lint run ./...) || status=1
	done
	return "$status"
}

# The one check whose program is not built from Go: Debian has it.
scripts() {
	if ! command -v shellcheck >/dev/null; then
		echo "shellcheck is missing (apt-get install shellcheck)"
		[[ ${EPIC_NO_SKIP:-} != 1 ]]
		return
	fi
	git ls-files -z --cached --others --exclude-standard '*.sh' .ci/run | xargs -0 shellcheck
}

check "gofmt" formatted
check "licence headers" headers
check "wording" wording
check "go vet" vet
check "go mod tidy" tidy
check "generated code" hack/verify-codegen.sh
check "BPF objects" hack/verify-bpf.sh
check "charts" go run ./hack/charts -verify
check "golangci-lint" lint
check "shellcheck" scripts

if ((${#failed[@]})); then
	printf 'Failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
echo "All checks passed."

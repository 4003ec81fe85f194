#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that generated files are what the generators make of the types as they
# are. Works on a copy and leaves this tree alone.

set -o errexit
set -o nounset
set -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy="$(mktemp -d)"
trap 'rm -rf "${copy}"' EXIT
mkdir -p "${copy}/docs" "${copy}/hack" "${copy}/pkg"
cp go.mod go.sum "${copy}/"
cp -R hack/tools hack/boilerplate.go.txt hack/update-codegen.sh "${copy}/hack/"
cp -R pkg/apis pkg/generated "${copy}/pkg/"

"${copy}/hack/update-codegen.sh"

# Struct tags in the types are generated too, so all of pkg/apis is compared.
stale=0
for part in pkg/apis pkg/generated docs/reference-api.md; do
	diff -Nru "${part}" "${copy}/${part}" || stale=1
done
if [[ "${stale}" != 0 ]]; then
	echo "Generated files are out of date: run hack/update-codegen.sh and commit the changes." >&2
	exit 1
fi
echo "Generated files are up to date."

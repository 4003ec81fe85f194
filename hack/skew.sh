#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/skew.sh [REF] builds the programs of the git ref REF and of this tree, and runs both
# together (test/skew): each program alone in the other version, and all of them in the order of
# an upgrade and of a downgrade, while visitors ask. REF is the last tag, or the commit before
# this one if there is no tag. It needs root on Linux.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ((EUID != 0)) || [[ $(uname -s) != Linux ]]; then
	echo "The skew test needs root on Linux, for network namespaces." >&2
	exit 1
fi
ref=${1:-$(git describe --tags --abbrev=0 2>/dev/null || echo HEAD~1)}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

hack/old-programs.sh "$ref" "$dir/old"
for program in apiserver controller operator proxy node connector; do
	CGO_ENABLED=0 go build -trimpath -o "$dir/new/epic-$program" "./cmd/$program"
done
echo "Old: $(git describe --tags --always "$ref"). New: $(git describe --tags --always --dirty)."
EPIC_SKEW_OLD=$dir/old EPIC_SKEW_NEW=$dir/new go test -tags=skew -count=1 -timeout=30m -v -run '^TestSkew$' ./test/skew

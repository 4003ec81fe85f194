#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/old-programs.sh REF DIRECTORY builds the programs that the git ref REF has of a gateway
# cluster and its clients into DIRECTORY, as DIRECTORY/epic-NAME, for tests that run two
# versions together.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ref=$1
mkdir -p "$2"
directory=$(cd "$2" && pwd)
commit=$(git rev-parse --verify --quiet "$ref^{commit}") || {
	echo "There is no git ref $ref: name a tag or a commit." >&2
	exit 1
}
sources=$(mktemp -d)
trap 'git worktree remove --force "$sources/tree" 2>/dev/null || true; rm -rf "$sources"' EXIT

git worktree add --quiet --detach "$sources/tree" "$commit"
for program in apiserver controller operator proxy node connector; do
	CGO_ENABLED=0 go build -C "$sources/tree" -trimpath -o "$directory/epic-$program" "./cmd/$program"
done

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Checks that the objects in bpf/ are what their sources compile to, byte by byte.
# Works on a copy and leaves this tree alone.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
status=0
hack/update-bpf.sh "$copy" || status=$?
if ((status == 3)); then
	echo "The BPF objects were not checked."
	[[ ${EPIC_NO_SKIP:-} != 1 ]]
	exit
fi
((status == 0)) || exit "$status"
stale=0
for file in bpf/zz_generated_*; do
	cmp "$file" "$copy/${file##*/}" || stale=1
done
if ((stale)); then
	echo "BPF objects are out of date: run hack/update-bpf.sh and commit the changes." >&2
	exit 1
fi
echo "BPF objects are up to date."

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/chaos.sh REF FLAGS runs test/chaos with the programs in bin/ and an etcd of go.mod's version.
# If REF is not empty, it builds the programs of that version as well, which the run replaces by
# those in bin/ and back.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ref=${1:-}
shift || true
export CGO_ENABLED=0
go build -trimpath -o bin/etcd ./test/tools/etcd
go build -trimpath -o bin/chaos ./test/chaos
envoy=$(hack/envoy.sh)
old=()
if [[ -n $ref ]]; then
	hack/old-programs.sh "$ref" bin/old
	old=(-old=bin/old)
fi
bin/chaos -envoy="$envoy" "${old[@]}" "$@"

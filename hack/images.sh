#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the container images that artifacts/install runs, without Docker:
# static binaries on an empty base, as tarballs in bin/images/. The same
# sources give the same digests on every machine; --check builds twice, from
# another folder the second time, and compares.
#
# TAG names another tag than "dev", ARCH another architecture than this machine's,
# OUT another folder.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tag=${TAG:-dev}
arch=${ARCH:-$(go env GOARCH)}
export CGO_ENABLED=0 GOOS=linux GOARCH=$arch

build() {
	local out=$1
	# Without -trimpath the folder's name would be in the binaries.
	local flags=(-trimpath -ldflags "-s -w -buildid=")
	mkdir -p "$out"
	go build "${flags[@]}" -o "$out/epic-apiserver" ./cmd/apiserver
	go build "${flags[@]}" -o "$out/epic-controller" ./cmd/controller
	go build "${flags[@]}" -o "$out/epic-node" ./cmd/node
	go build "${flags[@]}" -o "$out/epic-cni" ./cmd/cni
	go build -C test/e2e/kube "${flags[@]}" -o "$out/etcd" ./cmd/etcd
	GOOS='' GOARCH='' go build -C hack/tools/image -o "$out/image" .
	"$out/image" -arch "$arch" -out "$out/epic-apiserver.tar" -tag "acnodal/epic-apiserver:$tag" "$out/epic-apiserver"
	"$out/image" -arch "$arch" -out "$out/epic-controller.tar" -tag "acnodal/epic-controller:$tag" "$out/epic-controller"
	"$out/image" -arch "$arch" -out "$out/epic-etcd.tar" -tag "acnodal/epic-etcd:$tag" "$out/etcd"
	# Its capabilities are named in the manifests; only root has them at its start.
	"$out/image" -arch "$arch" -out "$out/epic-node.tar" -tag "acnodal/epic-node:$tag" -user 0:0 "$out/epic-node" "$out/epic-cni"
	rm "$out/epic-"{apiserver,controller,node,cni} "$out/etcd" "$out/image"
}

out=$(realpath -m "${OUT:-bin/images}")
if [[ ${1:-} != --check ]]; then
	build "$out"
	exit
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -c --exclude=./bin --exclude=./.epic . | tar -x -C "$copy"
build "$out"
cd "$copy"
build "$copy/images" >/dev/null
for image in epic-apiserver epic-controller epic-node epic-etcd; do
	cmp "$out/$image.tar" "$copy/images/$image.tar"
done
echo "All images are the same when built again elsewhere."

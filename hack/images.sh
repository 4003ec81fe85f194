#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds the container images that artifacts/install runs, without Docker:
# static binaries on an empty base, as tarballs in bin/images/, and an image with
# the Envoy that hack/envoy.sh finds and its libraries, if it finds one. The same
# sources give the same digests on every machine; --check builds twice, from
# another folder the second time, and compares. What did not change is not built
# again.
#
# TAG names another tag than "dev", OUT another folder, and RELEASE the version that the
# programs report. ARCH names another architecture than this machine's, whose Envoy and
# libraries hack/envoy.sh and hack/libc.sh download.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tag=${TAG:-dev}
arch=${ARCH:-$(go env GOARCH)}
# "make build" uses the same, so nothing is compiled twice. Without -trimpath
# the folder's name would be in the binaries.
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath -buildvcs=false"

# image NAME USER [FLAG...] BINARY... makes the tarball, unless the one that is there
# is made of the same.
image() {
	local name=$1 user=$2 key argument files=()
	shift 2
	for argument; do [[ $argument == -file ]] || files+=("${argument%%=*}"); done
	key=$(cd "$bin" && echo "$name $tag $user $arch" | sha256sum - "${files[@]}" image | sha256sum)
	[[ ! -e $out/$name.tar || $(cat "$bin/$name.key" 2>/dev/null) != "$key" ]] || return 0
	(cd "$bin" && ./image -arch "$arch" -out "$out/$name.tar" -tag "acnodal/$name:$tag" -user "$user" "$@")
	echo "$key" >"$bin/$name.key"
}

ldflags="-s -w${RELEASE:+ -X github.com/acnodal/epic/pkg/buildinfo.release=$RELEASE}"

build() {
	out=$1 bin=$1/.binaries
	mkdir -p "$bin/raw"
	GOOS=linux GOARCH=$arch go build -ldflags "$ldflags" -o "$bin/raw/" ./cmd/{apiserver,controller,node,cni,operator,proxy,connector}
	GOOS=linux GOARCH=$arch go build -C test/e2e/kube -ldflags '-s -w' -o "$bin/raw/" ./cmd/etcd
	go build -C hack/tools/image -o "$bin/image" .
	local name
	for name in apiserver controller node cni operator proxy connector; do ln -f "$bin/raw/$name" "$bin/epic-$name"; done
	ln -f "$bin/raw/etcd" "$bin/etcd"
	image epic-apiserver 65532:65532 epic-apiserver
	image epic-controller 65532:65532 epic-controller
	image epic-etcd 65532:65532 etcd
	# Its capabilities are named in the manifests; only root has them at its start.
	image epic-node 0:0 epic-node epic-cni
	image epic-proxy 65532:65532 epic-proxy
	image epic-connector 65532:65532 epic-connector
	envoy
}

# linked prints the libraries of a program of this machine, each as FILE=PATH.
linked() {
	local file
	while read -r file; do echo "$(readlink -f "$file")=$file"; done < <(ldd "$1" | grep -o '/[^ ]*')
}

# envoy makes the image of Envoy: the binary, the libraries that it is linked to, and
# the authorities that this machine trusts, for backends with public certificates. The
# operator's image has the binary and its libraries, too, to check configurations.
envoy() {
	local path='' libraries='' file flags=()
	if [[ $arch == "$(go env GOHOSTARCH)" ]]; then
		! path=$(hack/envoy.sh) || libraries=$(linked "$path")
	else
		! path=$(hack/envoy.sh "$arch") || libraries=$(hack/libc.sh "$arch") || path=''
	fi
	if [[ -z $path ]]; then
		echo "No image of Envoy for $arch (see above): set EPIC.spec.envoy-image. The operator of this image does not check configurations." >&2
		image epic-operator 65532:65532 epic-operator
		return
	fi
	# A static Envoy has none.
	while read -r file; do [[ -z $file ]] || flags+=(-file "$file"); done <<<"$libraries"
	ln -sf "$path" "$bin/envoy"
	image epic-operator 65532:65532 "${flags[@]}" epic-operator envoy
	file=/etc/ssl/certs/ca-certificates.crt
	[[ ! -e $file ]] || flags+=(-file "$file=$file")
	image epic-envoy 65532:65532 "${flags[@]}" envoy
}

folder=$(realpath -m "${OUT:-bin/images}")
if [[ ${1:-} != --check ]]; then
	build "$folder"
	exit
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -c --exclude=./bin --exclude=./.epic . | tar -x -C "$copy"
build "$folder"
cd "$copy"
build "$copy/images" >/dev/null
for image in epic-apiserver epic-controller epic-node epic-etcd epic-operator epic-proxy; do
	cmp "$folder/$image.tar" "$copy/images/$image.tar"
done
echo "All images are identical to those of a second build in another directory."

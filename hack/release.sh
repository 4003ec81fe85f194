#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Builds what a release consists of, for linux/amd64 and linux/arm64, into
# bin/release/VERSION (or $OUT): archives of the programs, images for both architectures as
# archives of OCI layouts, an SBOM of each program, the manifests and the Helm charts with
# the version in them, and SHA256SUMS. docs/releases.md describes it.
#
#   hack/release.sh VERSION            such as v1.2.3
#   hack/release.sh VERSION --check    builds it again in another folder, and compares
#
# The same sources give the same files on every machine. ARCHS names other architectures.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=${1:-}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || {
	echo "usage: hack/release.sh VERSION [--check], with a version such as v1.2.3 or v1.2.3-rc.1" >&2
	exit 2
}
read -r -a archs <<<"${ARCHS:-amd64 arm64}"
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -trimpath -buildvcs=false" LC_ALL=C TZ=UTC

# pack FILE FOLDER NAME... makes an archive that depends on nothing but the files.
pack() {
	local file=$1 folder=$2
	shift 2
	tar --create --directory="$folder" --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX "$@" | gzip --no-name --best >"$file"
}

build() {
	local out=$1 work=$1/.work arch name tarballs
	rm -rf "$out"
	mkdir -p "$out/sbom" "$work"
	go build -C hack/tools/image -o "$work/image" .
	go build -C hack/tools/sbom -o "$work/sbom" github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
	for arch in "${archs[@]}"; do programs "$arch"; done
	for name in "$work/images/${archs[0]}"/*.tar; do
		name=$(basename "$name" .tar)
		tarballs=()
		for arch in "${archs[@]}"; do
			[[ ! -e $work/images/$arch/$name.tar ]] || tarballs+=("$work/images/$arch/$name.tar")
		done
		"$work/image" -index -out "$out/${name}_$version.oci.tar" -tag "acnodal/$name:$version" "${tarballs[@]}"
	done
	manifests
	charts
	(cd "$out" && find . -name .work -prune -o -type f -printf '%P\n' | sort | xargs sha256sum) >"$work/SHA256SUMS"
	mv "$work/SHA256SUMS" "$out/"
	rm -rf "$work"
}

# programs ARCH builds the programs and the images of an architecture.
programs() {
	local arch=$1 dir=$work/programs/$1/epic-$version name
	TAG=$version RELEASE=$version ARCH=$arch OUT=$work/images/$arch hack/images.sh
	mkdir -p "$dir"
	for name in apiserver controller node cni operator proxy connector; do
		install -m 755 "$work/images/$arch/.binaries/raw/$name" "$dir/epic-$name"
	done
	GOOS=linux GOARCH=$arch go build -ldflags "-s -w -X github.com/acnodal/epic/pkg/buildinfo.release=$version" -o "$dir/epicctl" ./cmd/epicctl
	install -m 644 LICENSE "$dir/"
	for name in "$dir"/epic* "$work/images/$arch/.binaries/etcd"; do
		"$work/sbom" bin -json -noserial -notimestamp -std -version "$version" -output "$out/sbom/$(basename "$name")_linux_$arch.cdx.json" "$name" 2>>"$work/sbom.log" || {
			cat "$work/sbom.log" >&2
			return 1
		}
	done
	pack "$out/epic_${version}_linux_$arch.tar.gz" "$work/programs/$arch" "epic-$version"
}

# manifests are those of kubectl and kustomize, which name the release's images.
manifests() {
	local dir=$work/manifests/epic-$version-manifests
	mkdir -p "$dir/artifacts"
	cp -R artifacts/install artifacts/rbac artifacts/samples artifacts/monitoring artifacts/systemd "$dir/artifacts/"
	rm "$dir/artifacts/install/manifests.go"
	grep -rlE 'acnodal/epic-[a-z]+:dev' "$dir" | xargs sed -i -E "s#(acnodal/epic-[a-z]+):dev#\1:$version#"
	mkdir "$dir/hack"
	cp hack/certs.sh hack/tunnel-keys.sh hack/backup.sh hack/fetch-backup.sh hack/restore.sh "$dir/hack/"
	pack "$out/epic_${version}_manifests.tar.gz" "$work/manifests" "epic-$version-manifests"
}

# charts are the Helm charts, whose default tag is the version.
charts() {
	local name
	for name in epic epic-connector; do
		mkdir -p "$work/charts"
		cp -R "artifacts/charts/$name" "$work/charts/"
		sed -i -e "s/^version: .*/version: ${version#v}/" -e "s/^appVersion: .*/appVersion: $version/" "$work/charts/$name/Chart.yaml"
		pack "$out/$name-${version#v}.tgz" "$work/charts" "$name"
	done
}

folder=$(realpath -m "${OUT:-bin/release/$version}")
build "$folder"
if [[ ${2:-} != --check ]]; then
	echo "The release is in $folder"
	exit
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar -c --exclude=./bin --exclude=./.epic --exclude=./.git . | tar -x -C "$copy"
cd "$copy"
build "$copy/release" >/dev/null
if ! diff -u "$folder/SHA256SUMS" "$copy/release/SHA256SUMS"; then
	echo "These files differ in a second build in another directory." >&2
	exit 1
fi
echo "All files in $folder are identical to those of a second build in another directory."

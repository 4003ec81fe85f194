#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/libc.sh ARCH prints the libraries that an Envoy for amd64 or arm64 is linked to, each as
# FILE=PATH with its path in an image. They are those of Debian's package libc6, for machines of
# another architecture: apt downloads the package, checks it, and changes nothing on the machine.
# They are kept in ~/.cache/epic (or $XDG_CACHE_HOME/epic).

set -euo pipefail

arch=${1:?usage: hack/libc.sh ARCH}
case $arch in
amd64) triplet=x86_64-linux-gnu loader=/lib64/ld-linux-x86-64.so.2 ;;
arm64) triplet=aarch64-linux-gnu loader=/lib/ld-linux-aarch64.so.1 ;;
*)
	echo "hack/libc.sh: $arch is neither amd64 nor arm64." >&2
	exit 1
	;;
esac
dir=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/epic/libc-$arch

if [[ ! -d $dir ]]; then
	for program in apt-get dpkg-deb; do
		command -v "$program" >/dev/null || {
			echo "hack/libc.sh: the libraries for $arch come from Debian packages, and $program is missing." >&2
			exit 1
		}
	done
	mkdir -p "$(dirname "$dir")"
	work=$(mktemp -d "$dir.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	options=(-qq -o "APT::Architecture=$arch" -o "APT::Architectures=$arch" -o APT::Sandbox::User=root
		-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache")
	apt-get "${options[@]}" update >&2
	(cd "$work" && apt-get "${options[@]}" download libc6 >&2)
	dpkg-deb --extract "$work"/libc6_*.deb "$work/root"
	# Several of these scripts may run at once; the last one changes nothing.
	mv -T "$work/root" "$dir" 2>/dev/null || [[ -d $dir ]]
fi

# find_library prints the file that a library is, in whichever folder the release has it.
find_library() {
	local file
	for file in "$dir/lib/$triplet/$1" "$dir/usr/lib/$triplet/$1"; do
		[[ ! -e $file ]] || {
			readlink -f "$file"
			return
		}
	done
	echo "hack/libc.sh: Debian's libc6 for $arch has no $1." >&2
	return 1
}

file=$(find_library "$(basename "$loader")")
echo "$file=$loader"
for name in libc.so.6 libdl.so.2 libm.so.6 libpthread.so.0 librt.so.1; do
	file=$(find_library "$name")
	echo "$file=/lib/$triplet/$name"
done

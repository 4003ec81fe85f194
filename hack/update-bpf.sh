#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compiles the BPF programs in bpf/ and generates the Go types of their maps. Needs
# clang and llvm-strip of one version, below, so the same sources give the
# same bytes on every machine.
#
# update-bpf.sh [DIRECTORY]: writes into another directory than bpf/.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

llvm=19
out=${1:-$PWD/bpf}

for tool in clang-$llvm llvm-strip-$llvm; do
	command -v "$tool" >/dev/null || {
		echo "$tool is missing (Debian: apt-get install clang-$llvm llvm-$llvm)" >&2
		exit 3
	}
done

# What a kernel from 5.15 on knows. Paths of this machine stay out of the object.
flags=(-mcpu=v3 -O2 -g -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Werror
	-fno-strict-aliasing "-ffile-prefix-map=$PWD=.")

unset GOFLAGS
export GOWORK=off GOPACKAGE=bpf
go tool -modfile=hack/tools/bpf/go.mod bpf2go \
	-cc clang-$llvm -strip llvm-strip-$llvm -target bpfel \
	-output-dir "$out" -output-stem zz_generated_dataplane \
	-type tunnel -type tunnel_flags -type counters -type endpoint -type service -type service_flags \
	-type policy -type proxy -type flow -type reply -type reply_flags -type fragments -type path -type fragment_path -type flow_count -type place \
	-type attachment_key -type attachment -type hook -type how -type attachment_flags \
	-type drop_reason -type direction -type event \
	Kernel bpf/dataplane.c -- "${flags[@]}"

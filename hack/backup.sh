#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/backup.sh FILE saves all of EPIC's data from the etcd of three members in
# a cluster to FILE on this machine, while everything serves. It needs kubectl
# and bin/epic-apiserver (make build). FILE holds secrets.

set -euo pipefail

file=${1:?Usage: hack/backup.sh FILE}
kubectl=${KUBECTL:-kubectl}
program=$(dirname "${BASH_SOURCE[0]}")/../bin/epic-apiserver

umask 077
dir=$(mktemp -d)
forward=
trap '[[ -z $forward ]] || kill "$forward" 2>/dev/null || true; rm -rf "$dir"' EXIT

for name in ca.crt tls.crt tls.key; do
	$kubectl --namespace epic-system get secret epic-apiserver-etcd-tls --output="go-template={{index .data \"$name\"}}" | base64 -d >"$dir/$name"
done
# It is there before the shell in the background opens it.
: >"$dir/forward"
$kubectl --namespace epic-system port-forward pod/epic-etcd-0 :2379 >"$dir/forward" 2>"$dir/problems" &
forward=$!
for ((i = 0; i < 300; i++)); do
	port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$dir/forward")
	if [[ -n $port ]] || ! kill -0 "$forward" 2>/dev/null; then break; fi
	sleep 0.1
done
# kubectl also reports each connection that the other side closes, which is how a
# snapshot ends: that is of interest only when there is none.
if [[ -z $port ]] || ! "$program" snapshot "$file" --etcd-servers="https://localhost:$port" \
	--etcd-cafile="$dir/ca.crt" --etcd-certfile="$dir/tls.crt" --etcd-keyfile="$dir/tls.key"; then
	echo "kubectl port-forward to pod/epic-etcd-0 reported:" >&2
	cat "$dir/problems" >&2
	exit 1
fi

#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Serves the API in the foreground, from the binaries in bin/: data, certificates,
# log and kubeconfig are in .epic/, and stay there. The first time, it loads the
# samples. For root it also makes a small world of network namespaces, with an EPIC
# node and a tenant's node behind NAT, and sends a request through a tunnel.
#
# EPIC_RUN_DIR names another directory than .epic, EPIC_PORT another port.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir=${EPIC_RUN_DIR:-$PWD/.epic}
port=${EPIC_PORT:-7443}
kubeconfig=$dir/kubeconfig
log=$dir/server.log
mkdir -p "$dir"
chmod 700 "$dir"

server=''
world=''
stop() {
	trap '' INT TERM
	local pid
	for pid in $world $server; do
		if kill -0 "$pid" 2>/dev/null; then
			kill -TERM "$pid" 2>/dev/null || true
			wait "$pid" || true
		fi
	done
}
trap 'stop; echo; echo "Stopped. Your data is in '"$dir"'; \"make run\" finds it."; exit 0' INT TERM
trap stop EXIT

kubectl() { bin/kubectl --kubeconfig "$kubeconfig" "$@"; }

# In a process group of its own, so that Ctrl-C reaches this script alone, which
# then stops the server once.
set -m
bin/epic-apiserver --standalone --data-dir="$dir/data" --secure-port="$port" \
	--kubeconfig-out="$kubeconfig" >"$log" 2>&1 &
server=$!
set +m

for ((i = 0; ; i++)); do
	if ! kill -0 "$server" 2>/dev/null; then
		tail -n 3 "$log" >&2
		exit 1
	fi
	if kubectl get --raw /readyz >/dev/null 2>&1; then
		break
	fi
	if ((i == 300)); then
		echo "The server is not ready after a minute; its log is $log. What it waits for:" >&2
		kubectl get --raw '/readyz?verbose' >&2 || true
		exit 1
	fi
	sleep 0.2
done

marker=$dir/samples-loaded
if [[ ! -e $marker ]]; then
	kubectl apply --filename artifacts/samples >/dev/null
	touch "$marker"
	echo "The samples of artifacts/samples are loaded:"
else
	echo "Your data is back:"
fi
kubectl get epic-all --all-namespaces 2>&1 | sed 's/^/  /'
cat <<TEXT

EPIC's API is served on https://127.0.0.1:$port until you press Ctrl-C; its log is
$log. In another shell, type:

  export KUBECONFIG=$kubeconfig PATH=$PWD/bin:\$PATH
  kubectl get epic-all --all-namespaces
  kubectl explain loadbalancer.spec
TEXT

if ((EUID == 0)); then
	set -m
	bin/epic-world --kubeconfig="$kubeconfig" --data-dir="$dir/data" --dir="$dir/world" --bin=bin &
	world=$!
	set +m
else
	echo "
Run it as root, \"sudo make run\", to see a request go through a tunnel, in network
namespaces of this machine."
fi
wait "$server" || { tail -n 3 "$log" >&2; exit 1; }

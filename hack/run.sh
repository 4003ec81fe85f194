#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Serves the API in the foreground, from the binaries in bin/: data, certificates,
# log and kubeconfig are in .epic/, and stay there. The first time, it loads the
# samples. On Linux it also starts the operator, which starts Envoy. For root that is in
# a small world of network namespaces, with a gateway node and a client node behind NAT,
# where a request goes through a tunnel; for others Envoy listens on a loopback address.
# The controller sets conditions everywhere.
#
# EPIC_RUN_DIR names another directory than .epic, EPIC_PORT another port: two runs
# need two of each.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir=${EPIC_RUN_DIR:-$PWD/.epic}
port=${EPIC_PORT:-7443}
[[ $dir == /* ]] || dir=$PWD/$dir
kubeconfig=$dir/kubeconfig
log=$dir/server.log
running=$dir/running

refuse() {
	printf '%s\n' "$@" >&2
	exit 1
}
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }

# Refuse before anything of a run that is there is touched. "check" does this alone, so
# "make run" builds nothing either.
if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65535)); then
	refuse "EPIC_PORT is \"$port\": set a port from 1 to 65535."
fi
if [[ -r $running ]] && read -r pid other <"$running"; then
	if ps -o args= -p "$pid" 2>/dev/null | grep -q 'hack/run\.sh'; then
		refuse "EPIC is already running from $dir: process $pid serves it on port $other." \
			"Use it, stop it with Ctrl-C, or start a second one with another directory and" \
			"port:" \
			"" \
			"  EPIC_RUN_DIR=$dir-2 EPIC_PORT=$((port == other ? port + 1 : port)) make run"
	fi
	# An earlier run was killed; what it started may still be ending.
	for ((i = 0; i < 50; i++)); do
		taken || break
		sleep 0.2
	done
fi
if taken; then
	refuse "Port $port of this machine is in use by EPIC or another program. Choose a free port:" \
		"" \
		"  EPIC_PORT=$((port + 1)) make run"
fi
[[ ${1:-} != check ]] || exit 0

mkdir -p "$dir"
chmod 700 "$dir"
echo "$$ $port" >"$running"

# A process that reads the far end of descriptor 9, which ends when this script
# does, however that happens. It then ends what the script has started.
exec 9> >(
	trap '' INT TERM HUP
	pids=''
	while read -r pid; do pids+=" $pid"; done
	for pid in $pids; do kill -TERM "$pid" 2>/dev/null || true; done
)

children=''
# start starts a program in a process group of its own, so Ctrl-C reaches this
# script alone, which then ends its programs once and in order.
start() {
	set -m
	"$@" 9>&- &
	set +m
	children="$! $children"
	echo "$!" >&9
}
stop() {
	trap '' INT TERM
	local pid
	for pid in $children; do
		if kill -0 "$pid" 2>/dev/null; then
			kill -TERM "$pid" 2>/dev/null || true
			wait "$pid" || true
		fi
	done
	children=''
	rm -f "$running"
}
trap 'stop; echo; echo "Stopped. Your data stays in '"$dir"'; the next \"make run\" uses it."; exit 0' INT TERM
trap stop EXIT

kubectl() { bin/kubectl --kubeconfig "$kubeconfig" "$@" 9>&-; }

serve() {
	exec bin/epic-apiserver --standalone --data-dir="$dir/data" --secure-port="$port" \
		--kubeconfig-out="$kubeconfig" >"$log" 2>&1
}
control() {
	exec bin/epic-controller --kubeconfig="$kubeconfig" --leader-elect=false --bind-address= \
		>"$dir/controller.log" 2>&1
}
demonstrate() {
	exec bin/epic-world --kubeconfig="$kubeconfig" --data-dir="$dir/data" --dir="$dir/world" --bin=bin --envoy="$envoy" ${loopback:+"$loopback"}
}

start serve
server=$!
for ((i = 0; ; i++)); do
	if ! kill -0 "$server" 2>/dev/null; then
		tail -n 3 "$log" >&2
		exit 1
	fi
	if kubectl get --raw /readyz >/dev/null 2>&1; then
		break
	fi
	if ((i == 300)); then
		echo "The server is not ready after a minute; its log is $log. Its readiness checks:" >&2
		kubectl get --raw '/readyz?verbose' >&2 || true
		exit 1
	fi
	sleep 0.2
done
start control

marker=$dir/samples-loaded
if [[ ! -e $marker ]]; then
	kubectl apply --filename artifacts/samples >/dev/null
	touch "$marker"
	echo "Loaded the samples from artifacts/samples:"
else
	echo "Loaded your data:"
fi
kubectl get epic-all --all-namespaces 2>&1 | sed 's/^/  /'
cat <<TEXT

EPIC's API is served on https://127.0.0.1:$port until you press Ctrl-C; its log is
$log. In another shell, type:

  export KUBECONFIG=$kubeconfig PATH=$PWD/bin:\$PATH
  kubectl get epic-all --all-namespaces
  kubectl explain loadbalancer.spec
  epicctl status
TEXT

# The demonstration needs Linux.
if [[ $(uname -s) != Linux ]]; then
	:
elif envoy=$(hack/envoy.sh); then
	((EUID == 0)) || loopback=--loopback
	start demonstrate
	((EUID == 0)) || echo "
Run it as root, \"sudo make run\", to see a request go through Envoy and a tunnel, in
network namespaces."
else
	echo "
The demonstration needs Envoy; the message above describes how to get it."
fi
wait "$server" || { tail -n 3 "$log" >&2; exit 1; }

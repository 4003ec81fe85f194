#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Serves the API alone, in the foreground, from the binaries in bin/: data,
# certificates, log and kubeconfig are in .epic/, and stay there. The first time,
# it loads the samples.
#
# EPIC_RUN_DIR names another directory than .epic, EPIC_PORT another port.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir=${EPIC_RUN_DIR:-.epic}
port=${EPIC_PORT:-7443}
kubeconfig=$dir/kubeconfig
log=$dir/server.log
mkdir -p "$dir"
chmod 700 "$dir"

server=
stop() {
	trap '' INT TERM
	if [[ -n $server ]] && kill -0 "$server" 2>/dev/null; then
		kill -TERM "$server" 2>/dev/null || true
		wait "$server" || true
	fi
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
kubectl get epic --all-namespaces 2>&1 | sed 's/^/  /'
cat <<TEXT

EPIC's API is served on https://127.0.0.1:$port until you press Ctrl-C; its log is
$log. In another shell, type:

  export KUBECONFIG=$PWD/${kubeconfig#"$PWD/"} PATH=$PWD/bin:\$PATH
  kubectl get epic --all-namespaces
  kubectl explain loadbalancer.spec
TEXT
wait "$server" || { tail -n 3 "$log" >&2; exit 1; }

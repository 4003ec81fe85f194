#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the Gateway API's conformance suite against EPIC on this machine, without a kubelet
# and without a container: a client cluster of etcd, kube-apiserver and
# kube-controller-manager, whose pods are processes; EPIC's API server; the connector; and
# the operator with Envoys as processes. All of it runs in namespaces of its own and ends
# with this script. It needs root on Linux.
#
#   hack/conformance.sh                 run every test and write a report
#   hack/conformance.sh FILE            run the tests that a file names, one a line
#   hack/conformance.sh -- ARGS         run the suite with other flags of its own
#   hack/conformance.sh measure [ARGS]  run test/bench/connector there instead of the suite
#
# EPIC_CONFORMANCE_DIR names the folder for logs and the report, .epic/conformance by default.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/conformance-suite.sh
source hack/conformance-suite.sh

dir=${EPIC_CONFORMANCE_DIR:-$PWD/.epic/conformance}
[[ $dir == /* ]] || dir=$PWD/$dir

if [[ ${1:-} != inside ]]; then
	if ((EUID != 0)) || [[ $(uname -s) != Linux ]]; then
		echo "The conformance suite needs root on Linux, for network namespaces." >&2
		exit 1
	fi
	rm -rf "$dir"
	mkdir -p "$dir"/{bin,log,pods,etcd,epic}
	hack/cluster.sh build
	# A later build removes them there.
	cp "$(hack/cluster.sh bin)"/{etcd,kube-apiserver,kube-controller-manager,kubectl} "$dir/bin/"
	for program in apiserver connector operator proxy; do
		[[ ! -d cmd/$program ]] || build_program -o "$dir/bin/epic-$program" "./cmd/$program"
	done
	build_program -C test/conformance -o "$dir/bin/" ./kubelet
	build_backends "$dir/bin"
	if [[ ${1:-} == measure ]]; then
		build_program -o "$dir/bin/measure" ./test/bench/connector
	else
		build_suite "$dir/bin"
	fi
	crds=$(suite_crds)
	# Killing the first process of the namespaces ends everything in them.
	exec unshare --net --mount --ipc --pid --fork --mount-proc --kill-child=SIGKILL "$PWD/hack/conformance.sh" inside "$dir" "$crds" "$@"
fi

dir=$2 crds=$3
shift 3
export PATH=$dir/bin:$PATH KUBECONFIG=$dir/cluster.kubeconfig EPICCONFIG=$dir/epic.kubeconfig

launch() {
	local name=$1
	shift
	"$@" >"$dir/log/$name.log" 2>&1 &
	launched=$!
}
await() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= end)); then
			echo "Timed out waiting for $what; the logs are in $dir/log." >&2
			exit 1
		fi
		sleep 0.2
	done
}

ip link set lo up
# Every public address is one of this machine.
ip route add local 10.95.0.0/16 dev lo
ip addr add 10.92.0.1/32 dev lo
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start

# The client cluster.
cat >"$dir/tokens.csv" <<'CSV'
conformance-admin,admin,admin,system:masters
CSV
openssl genrsa -out "$dir/sa.key" 2048 2>/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=kube-apiserver \
	-addext subjectAltName=IP:127.0.0.1 -keyout "$dir/apiserver.key" -out "$dir/apiserver.crt" 2>/dev/null
etcd=http://127.0.0.1:2379 peer=http://127.0.0.1:2380
launch etcd etcd --data-dir "$dir/etcd" --unsafe-no-fsync \
	--listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
	--listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
launch kube-apiserver kube-apiserver --etcd-servers="$etcd" --bind-address=127.0.0.1 --advertise-address=10.92.0.1 --secure-port=6443 \
	--tls-cert-file="$dir/apiserver.crt" --tls-private-key-file="$dir/apiserver.key" \
	--endpoint-reconciler-type=none --service-cluster-ip-range=10.94.0.0/16 --authorization-mode=RBAC --token-auth-file="$dir/tokens.csv" \
	--kubelet-preferred-address-types=Hostname --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$dir/sa.key" --service-account-signing-key-file="$dir/sa.key"
cat >"$KUBECONFIG" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: conformance, cluster: {server: "https://127.0.0.1:6443", certificate-authority: "$dir/apiserver.crt"}}]
users: [{name: admin, user: {token: conformance-admin}}]
contexts: [{name: conformance, context: {cluster: conformance, user: admin, namespace: default}}]
current-context: conformance
YAML
await 120 "the kube-apiserver" kubectl get --raw /readyz
launch kube-controller-manager kube-controller-manager --kubeconfig="$KUBECONFIG" --leader-elect=false --bind-address=127.0.0.1 \
	--cert-dir="$dir" --service-account-private-key-file="$dir/sa.key"
for file in "$crds"/gateway.networking.*.yaml; do
	kubectl apply --server-side -f "$file" >>"$dir/log/crds.log"
done
await 60 "the Gateway API" kubectl wait --for=condition=Established --timeout=20s crd --all
launch kubelet kubelet --kubeconfig="$KUBECONFIG" --bin="$dir/bin" --dir="$dir/pods"

# EPIC.
launch epic-apiserver epic-apiserver --standalone --data-dir="$dir/epic/data" --secure-port=7443 --kubeconfig-out="$EPICCONFIG"
await 60 "EPIC" kubectl --kubeconfig="$EPICCONFIG" get --raw /readyz
kubectl --kubeconfig="$EPICCONFIG" apply -f - >"$dir/log/objects.log" <<'YAML'
apiVersion: epic.acnodal.io/v1
kind: EPIC
metadata: {namespace: epic, name: epic}
---
apiVersion: epic.acnodal.io/v1
kind: ServicePrefix
metadata: {namespace: epic, name: default}
spec: {public-pool: {pool: 10.95.0.1-10.95.15.254, subnet: 10.95.0.0/16, aggregation: default}}
---
apiVersion: epic.acnodal.io/v1
kind: Account
metadata: {namespace: epic-conformance, name: conformance}
spec: {proxyLimit: 1000}
---
apiVersion: epic.acnodal.io/v1
kind: LBServiceGroup
metadata: {namespace: epic-conformance, name: gateways, labels: {epic.acnodal.io/owning-serviceprefix: default}}
YAML
if [[ -x $dir/bin/epic-operator ]]; then
	# A short path: sockets are in it.
	mkdir -p /tmp/epic-conformance
	mount -t tmpfs tmpfs /tmp/epic-conformance
	launch epic-operator epic-operator --runner=processes --process-network=host --process-dir=/tmp/epic-conformance \
		--kubeconfig="$EPICCONFIG" --bind-address= --envoy="$(hack/envoy.sh)"
	secrets=/tmp/epic-conformance/secrets
fi

# The connector.
launch epic-connector epic-connector --kubeconfig="$KUBECONFIG" --epic-kubeconfig="$EPICCONFIG" --epic-namespace=epic-conformance \
	--cluster=conformance --leader-elect=false --retry-refused=2s --secrets-dir="${secrets:-$dir/epic/secrets}" --bind-address=127.0.0.1:7449 -v="${EPIC_V:-0}"
export EPIC_CONNECTOR_PID=$launched
kubectl apply -f - >>"$dir/log/objects.log" <<'YAML'
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: epic}
spec: {controllerName: epic.acnodal.io/gateway}
YAML
await 60 "the connector" kubectl wait --for=condition=Accepted --timeout=20s gatewayclass/epic

if [[ ${1:-} == measure ]]; then
	shift
	# The endpoints of the measurement have these addresses.
	ip route add local 10.93.255.0/24 dev lo
	measure "$@"
	exit
fi

if [[ -n ${EPIC_CONFORMANCE_HOOK:-} ]]; then
	launch hook "$EPIC_CONFORMANCE_HOOK"
fi
run_suite "$dir" "$@"

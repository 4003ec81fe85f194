#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# EPIC in a cluster of kind with three nodes, and the end-to-end tests against it;
# arguments go to "go test". The cluster stays, with EPIC in it; "kind delete
# cluster --name epic" ends it. KIND_CLUSTER names another one.
#
# Nodes run the image that kind publishes. Where it can't be pulled, they run one
# that hack/kind-image.sh builds. Where no Docker runs, root gets one for as long as
# the tests take, which leaves the machine's firewall alone; the cluster ends with
# it.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=${KIND_CLUSTER:-epic}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/epic-kind
mkdir -p .epic "$cache/bin"
command -v docker >/dev/null || { echo "The command docker is missing." >&2; exit 1; }

# start_docker runs a daemon until this script ends. It writes no rules, and so
# does not drop what the machine forwards; the nodes need none.
start_docker() {
	if ((EUID != 0)) || ! command -v dockerd >/dev/null; then
		echo "Docker is not running. Start it, or run this as root on a machine with dockerd." >&2
		exit 1
	fi
	local dir=$cache/docker
	mkdir -p "$dir"
	export DOCKER_HOST=unix://$dir/docker.sock
	dockerd --host="$DOCKER_HOST" --data-root="$dir/data" --exec-root="$dir/exec" --pidfile="$dir/pid" \
		--iptables=false --ip6tables=false --ip-forward=false --bridge=none \
		--add-runtime="bounded=$PWD/hack/kind-runc.sh" --default-runtime=bounded >"$dir/log" 2>&1 &
	dockerd=$!
	trap stop_docker EXIT
	local i
	for ((i = 0; i < 300; i++)); do
		! docker info >/dev/null 2>&1 || return 0
		kill -0 "$dockerd" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 5 "$dir/log" >&2
	exit 1
}

stop_docker() {
	[[ -n ${EPIC_E2E_KEEP:-} ]] || kind delete cluster --name "$name" --kubeconfig .epic/kind.kubeconfig || true
	docker network rm kind >/dev/null 2>&1 || true
	kill "$dockerd"
	wait "$dockerd" || true
}

# own configures what the image of hack/kind-image.sh leaves out.
own() {
	local nodes node other cidr address
	k create clusterrolebinding kind-kube-proxy --clusterrole=system:node-proxier --group=system:nodes
	mapfile -t nodes < <(kind get nodes --name "$name")
	for node in "${nodes[@]}"; do
		until cidr=$(k get node "$node" -o 'jsonpath={.spec.podCIDR}') && [[ -n $cidr ]]; do sleep 1; done
		address=$(k get node "$node" -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}')
		for other in "${nodes[@]}"; do
			[[ $other == "$node" ]] || docker exec "$other" ip route replace "$cidr" via "$address"
		done
	done
	# The tests' own DNS and volumes, by this cluster's names.
	local dns file
	dns=$(k -n default get service kubernetes -o 'jsonpath={.spec.clusterIP}')
	for file in test/e2e/cluster/*.yaml; do
		echo ---
		sed "s,10.92.0.10,${dns}0,; s,\(node[12]\)-,$name-\1-,; s,\[node1\],[$name-worker],; s,\[node2\],[$name-worker2]," "$file"
	done | k apply -f -
	k wait --for=condition=Ready --timeout=2m nodes --all
	k -n kube-system rollout status --timeout=2m deployment/dns
}

create() {
	local image config
	config=$(
		cat <<-YAML
			kind: Cluster
			apiVersion: kind.x-k8s.io/v1alpha4
			nodes: [{role: control-plane}, {role: worker}, {role: worker}]
		YAML
	)
	image=$(go list -C test/e2e/kind -f '{{.Dir}}' sigs.k8s.io/kind/pkg/apis/config/defaults)
	image=$(sed -n 's/^const Image = "\(.*\)"/\1/p' "$image/image.go")
	# Its kubeconfig is kept apart from the developer's own.
	if docker image inspect "$image" >/dev/null 2>&1 || timeout 5m docker pull --quiet "$image" >/dev/null 2>&1; then
		kind create cluster --name "$name" --image "$image" --kubeconfig .epic/kind.kubeconfig --config=- <<<"$config"
		return
	fi
	echo "$image can't be pulled: building an image." >&2
	image=epic-kind-node:dev
	hack/kind-image.sh "$image"
	kind create cluster --name "$name" --image "$image" --kubeconfig .epic/kind.kubeconfig --config=- <<-YAML
		$config
		networking: {disableDefaultCNI: true, kubeProxyMode: none}
		kubeadmConfigPatches:
		- |
		  kind: InitConfiguration
		  skipPhases: [preflight, addon/kube-proxy, addon/coredns]
		- |
		  kind: KubeletConfiguration
		  failCgroupV1: false
		  oomScoreAdj: 0
		  maxOpenFiles: 20000
	YAML
	own
}

k() { bin/kubectl --kubeconfig .epic/kind.kubeconfig "$@"; }

[[ -x bin/kubectl ]] || GOFLAGS="${GOFLAGS:-} -trimpath" hack/kubectl.sh bin/kubectl
if ! command -v kind >/dev/null; then
	go build -C test/e2e/kind -o "$cache/bin/" sigs.k8s.io/kind
	PATH=$cache/bin:$PATH
fi
docker info >/dev/null 2>&1 || start_docker
kind get clusters 2>/dev/null | grep -qx "$name" || create
kind get kubeconfig --name "$name" >.epic/kind.kubeconfig

# The tests build the images, bring them to the nodes and install EPIC.
export KUBECONFIG=$PWD/.epic/kind.kubeconfig
export EPIC_E2E_LOAD="kind load image-archive --name $name"
test/e2e/run.sh "$@"

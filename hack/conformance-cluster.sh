#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the Gateway API's conformance suite through tunnels, in the real Kubernetes cluster of
# hack/cluster.sh. EPIC, the operator, the connector and the client nodes are installed as the
# documentation has it. The cluster is gateway cluster and client cluster in one: its first
# node runs proxies and nothing else, the other two are client nodes, where the suite's
# backends run. It needs root on Linux, and no registry.
#
#   hack/conformance-cluster.sh [FILE | -- ARGS]      all of the following
#   hack/conformance-cluster.sh build                 build what it needs
#   hack/conformance-cluster.sh up                    start the cluster and install all in it
#   hack/conformance-cluster.sh install               install EPIC and the connector in it
#   hack/conformance-cluster.sh run [FILE | -- ARGS]  run every test and write a report, or the
#                                                     tests that a file names, one a line, or the
#                                                     suite with other flags of its own
#   hack/conformance-cluster.sh down                  end the cluster
#
# The suite runs on this machine, outside of every node. What passes between the nodes is
# counted: the run fails if a proxy and a pod exchange a packet outside of a tunnel.
#
# EPIC_CONFORMANCE_DIR names the folder for logs and the report, .epic/conformance-cluster by
# default.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/conformance-suite.sh
source hack/conformance-suite.sh

dir=${EPIC_CONFORMANCE_DIR:-$PWD/.epic/conformance-cluster}
[[ $dir == /* ]] || dir=$PWD/$dir
kubeconfig=$(hack/cluster.sh kubeconfig)
export PATH=$dir/bin:$PATH KUBECONFIG=$kubeconfig KUBECTL=$dir/bin/kubectl
gateway=node1 clients=(node2 node3)
# Public addresses, and the cluster's pods.
public=10.95.0.0/16 pods=10.91.0.0/16
# The table of the firewall that counts what passes between nodes.
wire=epic-conformance

build() {
	mkdir -p "$dir"/{bin,log,images}
	hack/cluster.sh build
	cp "$(hack/cluster.sh bin)"/{kubectl,image} "$dir/bin/"
	build_program -o "$dir/bin/" ./cmd/epicctl
	hack/images.sh
	build_suite "$dir/bin"
	build_backends "$dir/bin"
	# The suite's manifests name images of a registry. Programs built of the same sources stand
	# for them, or, for CoreDNS, one that answers as its plugin whoami does.
	local image program
	rm -f "$dir"/images/*.tar
	for image in $(suite_images); do
		case $image in
		*/echo-basic:*) program=echo-basic ;;
		*/coredns:*) program=coredns ;;
		*) echo "No program replaces the suite's image $image." >&2 && return 1 ;;
		esac
		# Root needs the capability that the manifest adds, for port 53.
		image -out "$dir/images/${image//[\/:]/-}.tar" -tag "$image" -user 0:0 "$dir/bin/$program"
	done
}

up() {
	hack/cluster.sh up 3 >/dev/null
	equip
}

equip() {
	hack/cluster.sh load bin/images/*.tar "$dir"/images/*.tar >"$dir/log/load.log" 2>&1
	# In place of the network's routers, and so of announcements.
	ip route replace "$public" via "$(address "$gateway")"
	# Proxies and node programs tolerate it.
	kubectl taint node "$gateway" epic.acnodal.io/gateway=true:NoSchedule
	"${BASH_SOURCE[0]}" install >"$dir/log/install.log" 2>&1 || {
		tail -n 20 "$dir/log/install.log" >&2
		logs
		return 1
	}
}

install() {
	hack/install.sh Install
	GATEWAYS=$gateway hack/install.sh "Gateway nodes"
	kubectl -n epic patch epics.epic.acnodal.io epic --type=merge -p '{"spec":{"service-cidr":"10.92.0.0/16"}}'
	hack/install.sh "The operator"

	# What the platform team does for a tenant.
	epicctl create prefix conformance --pool 10.95.0.1-10.95.15.254 --subnet "$public"
	epicctl create account conformance --proxy-limit 1000
	epicctl create group gateways --account conformance --prefix conformance
	epicctl connect --account conformance --cluster conformance --group gateways --overwrite -f "$dir/connect.yaml"

	# What the tenant does.
	kubectl apply --server-side -k "$(suite_crds)"
	kubectl apply -f "$dir/connect.yaml"
	kubectl -n epic-connector rollout status --timeout=5m deployment/epic-connector
	kubectl -n epic-client rollout status --timeout=5m daemonset/epic-node-client
	kubectl wait --for=condition=Accepted --timeout=1m gatewayclass/epic
}

address() { kubectl get node "$1" -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'; }

# count has the bridge between the nodes count packets of tunnels, and drop and count those of
# proxies' public addresses to and from pods that are in none.
count() {
	nft -f - <<-NFT
		table bridge $wire
		delete table bridge $wire
		table bridge $wire {
			counter tunneled { }
			counter outside { }
			chain forward {
				type filter hook forward priority 0; policy accept;
				udp dport 6080 counter name tunneled
				udp sport 6080 counter name tunneled
				ip saddr $public ip daddr $pods counter name outside drop
				ip saddr $pods ip daddr $public counter name outside drop
			}
		}
	NFT
}

packets() { nft list counter bridge "$wire" "$1" | grep -oP 'packets \K\d+'; }

run() {
	local status=0 tunneled outside
	mkdir -p "$dir/log"
	count
	run_suite "$dir" "$@" || status=$?
	tunneled=$(packets tunneled) outside=$(packets outside)
	echo "$tunneled packets of tunnels passed between the nodes, and $outside that were outside of one."
	if ((tunneled == 0 || outside > 0)); then
		echo "Requests did not take the tunnels." >&2
		status=1
	fi
	((status == 0)) || logs
	return "$status"
}

# logs keeps what explains a failure.
logs() {
	local node
	kubectl get pods,events -A -o wide >"$dir/log/pods.log" 2>&1 || true
	kubectl get gateways,listenersets,httproutes,grpcroutes,tlsroutes,tcproutes,udproutes -A -o yaml >"$dir/log/gateways.log" 2>&1 || true
	kubectl get gwproxies,gwroutes,gwendpointslices -n epic-conformance -o yaml >"$dir/log/epic.log" 2>&1 || true
	kubectl -n epic-connector logs deployment/epic-connector --all-pods --prefix >"$dir/log/connector.log" 2>&1 || true
	kubectl -n epic-system logs deployment/epic-operator --all-pods --prefix --all-containers >"$dir/log/operator.log" 2>&1 || true
	kubectl -n epic-system logs deployment/epic-apiserver --all-pods --prefix >"$dir/log/apiserver.log" 2>&1 || true
	kubectl -n epic-node logs daemonset/epic-node >"$dir/log/$gateway.log" 2>&1 || true
	for node in "${clients[@]}"; do
		kubectl -n epic-client logs "$(kubectl -n epic-client get pods --field-selector="spec.nodeName=$node" -o name)" >"$dir/log/$node.log" 2>&1 || true
	done
	echo "The logs are in $dir/log." >&2
}

down() {
	nft delete table bridge "$wire" 2>/dev/null || true
	ip route del "$public" 2>/dev/null || true
	hack/cluster.sh down
}

command=${1:-}
case $command in
build | up | install | down) "$command" ;;
run)
	shift
	run "$@"
	;;
*)
	rm -rf "$dir"
	build
	status=0
	hack/cluster.sh up 3 >/dev/null || status=$?
	# Another cluster is there, which is not this script's to end.
	((status != 3)) || exit 3
	trap down EXIT
	((status == 0)) || exit "$status"
	equip
	run "$@"
	;;
esac

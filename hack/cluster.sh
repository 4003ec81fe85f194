#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# A real Kubernetes cluster on this machine: control plane, nodes with kubelet,
# containerd, runc and CNI plugins, and DNS. All of it is built from Go modules;
# it needs root on Linux, but no Docker or registry.
#
#   hack/cluster.sh check          describe what this machine lacks, if anything
#   hack/cluster.sh packages       list the Debian packages that it needs
#   hack/cluster.sh build          build everything (the first time minutes, then seconds)
#   hack/cluster.sh bin            print the directory of the binaries
#   hack/cluster.sh up [NODES]     build, start the cluster (two nodes), print its KUBECONFIG;
#                                  if one is already running, nothing happens, and the
#                                  exit status is 3
#   hack/cluster.sh kubeconfig     print the path of its kubeconfig
#   hack/cluster.sh load TAR...    load container images onto every node
#   hack/cluster.sh exec NODE CMD  run a command in a node's namespaces
#   hack/cluster.sh join NODE      add a node, with the images that node1 has
#   hack/cluster.sh leave NODE     remove a node that has joined, and whatever belongs to it
#   hack/cluster.sh crash NODE     stop a node as a power failure does: only its disk remains
#   hack/cluster.sh boot NODE      start a node that has crashed
#   hack/cluster.sh restart NAME   stop and start a part of the control plane, e.g. apiserver
#   hack/cluster.sh down           stop it and remove everything but the binaries
#
# The control plane runs in the machine's own network; each node is one process
# tree in network, mount, pid, uts and ipc namespaces of its own, on a bridge.
# EPIC_E2E_CACHE names the directory for binaries and the running cluster's files.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=hack/cluster-cgroups.sh
source hack/cluster-cgroups.sh

cache=${EPIC_E2E_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/epic-e2e}
run=$cache/run
kubernetes=v1.37.2

# Names and networks that are not likely to meet others on the machine.
bridge=epic0
export EPIC_NET=10.90.0 EPIC_PODS=10.91.0.0/16 EPIC_SERVICES=10.92.0.0/16 EPIC_DNS=10.92.0.10
api=$EPIC_NET.1:6443

# libc6-dev is only recommended by gcc, and runc needs its headers.
packages='gcc libc6-dev libseccomp-dev pkg-config nftables conntrack iproute2 openssl procps'

check() {
	local missing=()
	[[ $(uname -s) == Linux ]] || missing+=("Linux")
	((EUID == 0)) || missing+=("root")
	local command
	for command in gcc pkg-config nft conntrack ip openssl unshare nsenter sysctl; do
		command -v "$command" >/dev/null || missing+=("the command $command")
	done
	pkg-config --exists libseccomp 2>/dev/null || missing+=("libseccomp's headers")
	local line
	while read -r line; do missing+=("$line"); done < <(cgroup_missing /sys/fs/cgroup)
	if ((EUID == 0)); then
		unshare --mount --uts --ipc --pid --net --fork true 2>/dev/null || missing+=("leave to make namespaces")
		grep -qw overlay /proc/filesystems || modprobe overlay 2>/dev/null || missing+=("the overlay file system")
	fi
	((${#missing[@]})) || return 0
	{
		echo "This machine can't run the cluster. It lacks:"
		printf '  %s\n' "${missing[@]}"
		echo "Debian packages: $packages"
	} >&2
	return 1
}

# What the binaries are made of: another key, another folder.
key() {
	{
		go env GOVERSION GOARCH
		echo "$kubernetes"
		git ls-files -z --cached --others --exclude-standard test/e2e/kube test/e2e/node test/e2e/dns hack/tools/image hack/tools/kubectl |
			sort -z | xargs -0 sha256sum
	} | sha256sum | cut -c1-16
}

bin=$cache/$(key)

build() {
	[[ ! -e $bin/complete ]] || return 0
	echo "Building Kubernetes and the programs of its nodes into $bin, which takes 10 to 20 minutes the first time." >&2
	mkdir -p "$bin"
	local v=k8s.io/component-base/version
	local flags=(-buildvcs=false -trimpath)
	CGO_ENABLED=0 go build -C test/e2e/kube "${flags[@]}" -o "$bin/" -ldflags \
		"-s -w -X $v.gitVersion=$kubernetes -X $v.gitMajor=1 -X $v.gitMinor=${kubernetes:3:2}" ./cmd/...
	GOFLAGS="${GOFLAGS:-} ${flags[*]}" hack/kubectl.sh "$bin/kubectl"
	CGO_ENABLED=0 go build -C hack/tools/image "${flags[@]}" -o "$bin/image" .
	CGO_ENABLED=0 go build -C test/e2e/dns "${flags[@]}" -ldflags '-s -w' -o "$bin/dns" .
	CGO_ENABLED=0 go build -C test/e2e/node "${flags[@]}" -ldflags '-s -w' -o "$bin/" ./pause \
		github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr} \
		github.com/containernetworking/plugins/plugins/{main/bridge,main/loopback,ipam/host-local}
	# runc needs C, for what it does before Go's runtime starts.
	CGO_ENABLED=1 go build -C test/e2e/node "${flags[@]}" -ldflags '-s -w' -tags 'seccomp netgo osusergo' \
		-o "$bin/" github.com/opencontainers/runc
	mkdir -p "$bin/images"
	"$bin/image" -out "$bin/images/pause.tar" -tag epic-e2e/pause:dev "$bin/pause" >/dev/null
	"$bin/image" -out "$bin/images/dns.tar" -tag epic-e2e/dns:dev "$bin/dns" >/dev/null
	touch "$bin/complete"
	# Binaries of other keys are of no more use.
	find "$cache" -mindepth 1 -maxdepth 1 -type d ! -name run ! -path "$bin" -exec rm -rf {} +
}

# launch NAME COMMAND... starts a program in a session of its own and keeps its
# command line, so restart finds it.
launch() {
	local name=$1
	shift
	printf '%q ' "$@" >"$run/command/$name"
	relaunch "$name"
}

relaunch() {
	# The lock is not theirs.
	setsid bash -c "exec $(cat "$run/command/$1")" >>"$run/log/$1.log" 2>&1 </dev/null 8>&- &
	echo $! >"$run/pid/$1"
}

alive() { [[ -d /proc/$1 ]] && ! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null; }

# halt NAME [SIGNAL] waits until it is gone.
halt() {
	local pid i
	pid=$(cat "$run/pid/$1" 2>/dev/null) || return 0
	kill -"${2:-TERM}" "$pid" 2>/dev/null || true
	for ((i = 0; i < 100; i++)); do
		alive "$pid" || break
		sleep 0.1
	done
	! alive "$pid" || kill -KILL "$pid" 2>/dev/null || true
	rm -f "$run/pid/$1"
}

# await SECONDS WHAT COMMAND... polls until the command succeeds.
await() {
	local end=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= end)); then
			echo "Timed out waiting for $what; the logs are in $run/log." >&2
			return 1
		fi
		sleep 0.2
	done
}

# certificate AUTHORITY NAME SUBJECT USAGE [SANS]
certificate() {
	local ca=$1
	shift
	openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
	openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
	printf 'extendedKeyUsage=%s\n%s\n' "$3" "${4:+subjectAltName=$4}" >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA "$ca.crt" -CAkey "$ca.key" -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt"
}

authority() {
	openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
	openssl req -x509 -new -key "$1.key" -days 3650 -subj "/CN=$1" -out "$1.crt"
}

pki() {
	cd "$run/pki"
	authority ca
	authority front-proxy-ca
	certificate ca apiserver /CN=kube-apiserver serverAuth \
		"IP:$EPIC_NET.1,IP:${EPIC_SERVICES%.*}.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
	certificate ca kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
	certificate front-proxy-ca front-proxy-client /CN=front-proxy-client clientAuth
	openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out sa.key
	openssl pkey -in sa.key -pubout -out sa.pub
	certificate ca admin /O=system:masters/CN=admin clientAuth
	certificate ca controllers /CN=system:kube-controller-manager clientAuth
	certificate ca scheduler /CN=system:kube-scheduler clientAuth
	certificate ca proxy /CN=system:kube-proxy clientAuth
}

kubeconfig() {
	data() { base64 -w0 <"$run/pki/$1"; }
	cat >"$run/$1.kubeconfig" <<YAML
apiVersion: v1
kind: Config
clusters: [{name: epic-e2e, cluster: {server: "https://$api", certificate-authority-data: $(data ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(data "$1.crt"), client-key-data: $(data "$1.key")}}]
contexts: [{name: epic-e2e, context: {cluster: epic-e2e, user: $1}}]
current-context: epic-e2e
YAML
}

kubectl() { "$bin/kubectl" --kubeconfig "$run/admin.kubeconfig" "$@"; }

node_ready() {
	[[ $(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}{.spec.podCIDR}') == True?* ]]
}

# enlist gives a node its address and credentials. No node gets an address that
# another one had before.
enlist() {
	local node=$1 last
	last=$(cat "$run/nodes/.last" 2>/dev/null || echo 10)
	mkdir -p "$run/nodes/$node"
	echo "$((last + 1))" >"$run/nodes/.last"
	echo "$EPIC_NET.$((last + 1))" >"$run/nodes/$node/address"
	(cd "$run/pki" && certificate ca "$node" "/O=system:nodes/CN=system:node:$node" clientAuth) >>"$run/log/pki.log" 2>&1
	kubeconfig "$node"
}

address() { cat "$run/nodes/$1/address"; }

start_node() {
	local node=$1 ip dir=$run/$1
	ip=$(address "$node")
	mkdir -p "$dir"/{kubelet,containerd,cni,pods,containers,etc-cni,opt-cni,epic-node,volumes,log}
	ip netns add "epic-$node"
	ip link add "epic-$node" type veth peer name eth0 netns "epic-$node"
	ip link set "epic-$node" master "$bridge" up
	ip -n "epic-$node" link set lo up
	ip -n "epic-$node" addr add "$ip/24" dev eth0
	ip -n "epic-$node" link set eth0 up
	ip -n "epic-$node" route add default via "$EPIC_NET.1"
	ip netns exec "epic-$node" sysctl -qw net.ipv4.ip_forward=1
	launch "$node" nsenter --net="/run/netns/epic-$node" \
		unshare --mount --uts --ipc --pid --fork --kill-child --mount-proc \
		env BIN="$bin" RUN="$run" NODE="$node" IP="$ip" hack/cluster-node.sh
}

# route_node waits until a node is ready, and routes its pods' addresses to it, and those of all
# other nodes' pods from it.
route_node() {
	local node=$1 ip cidr f other
	ip=$(address "$node")
	await 120 "$node" node_ready "$node"
	cidr=$(kubectl get node "$node" -o 'jsonpath={.spec.podCIDR}')
	echo "$cidr" >"$run/nodes/$node/pods"
	ip route replace "$cidr" via "$ip" dev "$bridge"
	for f in "$run"/nodes/*/pods; do
		other=$(basename "$(dirname "$f")")
		[[ $other != "$node" ]] || continue
		ip -n "epic-$node" route replace "$(<"$f")" via "$(address "$other")"
		# One that has crashed has no network.
		[[ ! -e /run/netns/epic-$other ]] || ip -n "epic-$other" route replace "$cidr" via "$ip"
	done
}

# cut_node ends everything that runs on a node, its network first.
cut_node() {
	ip link del "epic-$1" 2>/dev/null || true
	# unshare takes its child with it, and so the node's whole pid namespace.
	halt "$1" KILL
	[[ ! -e /run/netns/epic-$1 ]] || ip netns del "epic-$1"
	cgroup_remove /sys/fs/cgroup "epic-$1"
}

# alone fails unless the cluster runs, and waits until nobody else changes its nodes.
alone() {
	if [[ $(owner) != "$run" ]]; then
		echo "No cluster with files in $run is running." >&2
		return 1
	fi
	exec 8>"$cache/lock"
	flock 8
}

# existing NODE fails unless the cluster has that node.
existing() {
	[[ ! ${1:-} =~ ^node[a-z0-9]+$ || ! -d $run/nodes/$1 ]] || return 0
	echo "The cluster has no node \"${1:-}\"." >&2
	return 1
}

join() {
	local node=${1:-} images
	alone
	# The name is a part of that of an interface.
	if [[ ! $node =~ ^node[a-z0-9]{1,6}$ ]]; then
		echo "A node's name is \"node\" and up to six letters and digits, not \"$node\"." >&2
		return 1
	fi
	if [[ -d $run/nodes/$node ]]; then
		echo "The cluster already has a node $node." >&2
		return 1
	fi
	enlist "$node"
	touch "$run/nodes/$node/joined"
	start_node "$node"
	route_node "$node"
	# There is no registry.
	mapfile -t images < <(in_node node1 ctr -n k8s.io images ls -q | grep -v '^sha256:')
	in_node node1 ctr -n k8s.io images export --local /dev/stdout "${images[@]}" |
		in_node "$node" ctr -n k8s.io images import --local /dev/stdin >/dev/null
}

leave() {
	local node=${1:-} f other cidr
	alone
	existing "$node"
	if [[ ! -e $run/nodes/$node/joined ]]; then
		echo "$node can't leave: it is one of the first nodes, through which the kube-apiserver reaches Services." >&2
		return 1
	fi
	cut_node "$node"
	kubectl delete node "$node" --ignore-not-found >/dev/null
	if cidr=$(cat "$run/nodes/$node/pods" 2>/dev/null); then
		ip route del "$cidr" 2>/dev/null || true
		for f in "$run"/nodes/*/address; do
			other=$(basename "$(dirname "$f")")
			ip -n "epic-$other" route del "$cidr" 2>/dev/null || true
		done
	fi
	rm -rf "${run:?}/$node" "$run/nodes/$node" "$run/command/$node" "$run/pki/$node".* "$run/$node.kubeconfig" "$run/log/$node.log"
}

crash() {
	alone
	existing "${1:-}"
	cut_node "$1"
}

boot() {
	alone
	existing "${1:-}"
	if [[ -e $run/pid/$1 ]]; then
		echo "Node $1 is already running." >&2
		return 1
	fi
	start_node "$1"
	route_node "$1"
}

# owner prints the folder of the cluster that is there, be it this one or that of
# another EPIC_E2E_CACHE. The remains of a cluster that ended with the machine, or
# whose folder somebody removed, do not count as one.
owner() {
	local dir f
	dir=$(cat "/sys/class/net/$bridge/ifalias" 2>/dev/null) || return 0
	[[ -n $dir ]] || dir=$run
	for f in "$dir"/pid/*; do
		[[ -e $f ]] || continue
		if alive "$(<"$f")"; then
			echo "$dir"
			return
		fi
	done
}

# free ends with status 3, and touches nothing, unless a cluster can be started.
free() {
	local there
	mkdir -p "$cache"
	exec 8>"$cache/lock"
	if ! flock --nonblock 8; then
		echo "Another hack/cluster.sh is starting a cluster." >&2
		exit 3
	fi
	there=$(owner)
	[[ -n $there ]] || return 0
	cat >&2 <<-TEXT
		A cluster is already running, and was not changed. To use it:
		  export KUBECONFIG=$there/admin.kubeconfig
		To end it, with all that is in it:
		  ${EPIC_E2E_CACHE:+EPIC_E2E_CACHE=${there%/run} }hack/cluster.sh down
	TEXT
	exit 3
}

up() {
	local nodes=${1:-2} i
	free
	check
	build
	# What a cluster left behind that did not end here.
	down
	mkdir -p "$run"/{pki,log,pid,command,nodes,etcd}
	chmod 700 "$run"
	(pki) >"$run/log/pki.log" 2>&1
	local user
	for user in admin controllers scheduler proxy; do kubeconfig "$user"; done
	for ((i = 1; i <= nodes; i++)); do enlist "node$i"; done

	ip link add "$bridge" type bridge
	ip link set "$bridge" alias "$run"
	ip addr add "$EPIC_NET.1/24" dev "$bridge"
	ip link set "$bridge" up

	# What the tests read: who did what, without the objects, the cluster's own
	# programs and requests that name none.
	cat >"$run/audit.yaml" <<-'YAML'
		apiVersion: audit.k8s.io/v1
		kind: Policy
		omitStages: [RequestReceived]
		rules:
		- {level: None, users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler, system:kube-proxy]}
		- {level: None, userGroups: [system:nodes, "system:serviceaccounts:kube-system"]}
		- {level: None, nonResourceURLs: ["*"]}
		- {level: Metadata}
	YAML

	local pki=$run/pki etcd=http://127.0.0.1:12389 peer=http://127.0.0.1:12390
	launch etcd "$bin/etcd" --data-dir "$run/etcd" --unsafe-no-fsync \
		--listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
		--listen-peer-urls "$peer" --initial-advertise-peer-urls "$peer" --initial-cluster "default=$peer"
	launch apiserver "$bin/kube-apiserver" --etcd-servers="$etcd" \
		--bind-address="$EPIC_NET.1" --advertise-address="$EPIC_NET.1" --secure-port=6443 \
		--tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --cert-dir="$run" \
		--client-ca-file="$pki/ca.crt" --authorization-mode=Node,RBAC --allow-privileged \
		--requestheader-client-ca-file="$pki/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
		--requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
		--requestheader-uid-headers=X-Remote-Uid --requestheader-extra-headers-prefix=X-Remote-Extra- \
		--proxy-client-cert-file="$pki/front-proxy-client.crt" --proxy-client-key-file="$pki/front-proxy-client.key" \
		--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" \
		--service-account-signing-key-file="$pki/sa.key" --service-cluster-ip-range="$EPIC_SERVICES" \
		--kubelet-client-certificate="$pki/kubelet-client.crt" --kubelet-client-key="$pki/kubelet-client.key" \
		--kubelet-preferred-address-types=InternalIP \
		--audit-policy-file="$run/audit.yaml" --audit-log-path="$run/log/audit.log"
	for ((i = 1; i <= nodes; i++)); do start_node "node$i"; done

	await 120 "the kube-apiserver" kubectl get --raw /readyz
	# Both end at once when the kube-apiserver's own roles are not there yet.
	launch controllers "$bin/kube-controller-manager" --leader-elect=false --bind-address=127.0.0.1 --cert-dir="$run" \
		--{,authentication-,authorization-}kubeconfig="$run/controllers.kubeconfig" --use-service-account-credentials \
		--service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --flex-volume-plugin-dir="$run/flex" \
		--allocate-node-cidrs --cluster-cidr="$EPIC_PODS" --service-cluster-ip-range="$EPIC_SERVICES"
	launch scheduler "$bin/kube-scheduler" --leader-elect=false --bind-address=127.0.0.1 --cert-dir="$run" \
		--{,authentication-,authorization-}kubeconfig="$run/scheduler.kubeconfig"

	local hops=()
	for ((i = 1; i <= nodes; i++)); do
		route_node "node$i"
		hops+=(nexthop via "$(address "node$i")" dev "$bridge")
	done
	# The kube-apiserver reaches Services, ours above all, through the nodes' proxies. Nodes
	# that join have no part in it: they may crash.
	ip route replace "$EPIC_SERVICES" "${hops[@]}"
	kubectl apply -f test/e2e/cluster >/dev/null
	await 60 "the cluster's DNS" kubectl -n kube-system rollout status --timeout=1s deployment/dns
	echo "export KUBECONFIG=$run/admin.kubeconfig PATH=$bin:\$PATH"
}

in_node() {
	local node=$1 pid child
	shift
	pid=$(cat "$run/pid/$node")
	child=$(tr -d ' ' <"/proc/$pid/task/$pid/children")
	nsenter -t "$child" -m -n -p -u env PATH="$bin:$PATH" CONTAINERD_ADDRESS=/run/containerd/containerd.sock "$@"
}

load() {
	local node tar
	for node in "$run"/pid/node*; do
		for tar; do
			in_node "${node##*/}" ctr -n k8s.io images import --local "$(realpath "$tar")" >/dev/null
		done
	done
}

down() {
	local f there
	there=$(owner)
	if [[ -n $there && $there != "$run" ]]; then
		echo "The running cluster has its files in $there. To stop it: EPIC_E2E_CACHE=${there%/run} hack/cluster.sh down" >&2
		return 1
	fi
	# unshare takes its child with it, and so the node's whole pid namespace.
	for f in "$run"/pid/node*; do [[ ! -e $f ]] || halt "${f##*/}" KILL; done
	for f in scheduler controllers apiserver etcd; do halt "$f" KILL; done
	# The tests have a router on the bridge, and a visitor behind it.
	for f in /run/netns/epic-{node*,router,visitor}; do
		[[ -e $f ]] || continue
		ip link del "${f##*/}" 2>/dev/null || true
		ip netns del "${f##*/}"
	done
	ip link del "$bridge" 2>/dev/null || true
	for f in /sys/fs/cgroup/{,*/}epic-node*; do [[ ! -d $f ]] || cgroup_remove /sys/fs/cgroup "${f##*/}"; done
	# Mount points that the nodes made on the machine's disk.
	rmdir /var/lib/{kubelet,containerd,cni,epic-volumes,epic-node} /var/log/{pods,containers} /etc/cni/net.d /etc/cni /opt/cni/bin /opt/cni 2>/dev/null || true
	rm -rf "$run"
}

command=${1:-}
(($# == 0)) || shift
case $command in
packages) echo "$packages" ;;
kubeconfig) echo "$run/admin.kubeconfig" ;;
bin) echo "$bin" ;;
check | build | up | load | down | join | leave | crash | boot) "$command" "$@" ;;
exec) in_node "$@" ;;
restart)
	halt "$1"
	relaunch "$1"
	;;
*)
	sed -n '/^# A real/,/^$/s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac

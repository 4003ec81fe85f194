#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The first process of a node of hack/cluster.sh, in namespaces of its own:
# private mounts, containerd, images, kube-proxy, kubelet. All ends with it.

set -euo pipefail
dir=$RUN/$NODE
# shellcheck source=hack/cluster-cgroups.sh
source "$(dirname "${BASH_SOURCE[0]}")/cluster-cgroups.sh"

cgroups=/sys/fs/cgroup
version=$(cgroup_version $cgroups)
hierarchies=$(cgroup_hierarchies $cgroups)
mount --make-rprivate /
# containerd and the kubelet hand mounts on to pods.
mount --make-rshared /
hostname "$NODE"

# The node's own /sys, of its own network namespace, with the machine's cgroup
# hierarchies. The kubelet's groups are below one of the node's own.
mount -t sysfs sysfs /sys
# As systemd does it.
mount -t bpf bpf /sys/fs/bpf
if [[ $version == 2 ]]; then
	mount -t cgroup2 cgroup2 $cgroups
	hierarchies=$cgroups
else
	mount -t tmpfs -o mode=755 tmpfs $cgroups
	for path in $hierarchies; do
		mkdir -p "$path"
		case ${path##*/} in
		systemd) mount -t cgroup -o none,name=systemd cgroup "$path" ;;
		*) mount -t cgroup -o "${path##*/}" cgroup "$path" ;;
		esac
	done
fi
for path in $hierarchies; do cgroup_join "$path" "epic-$NODE" 1; done

mount -t tmpfs tmpfs /run
mkdir -p /run/sysctl /run/netns /run/lock
# The kubelet insists on writing these, which are the whole machine's: it gets
# files with the content that it wants.
pretend() {
	echo "$2" >"/run/sysctl/${1##*/}"
	mount --bind "/run/sysctl/${1##*/}" "/proc/sys/$1"
}
pretend vm/overcommit_memory 1
pretend kernel/panic 10
pretend kernel/panic_on_oops 1

own() {
	mkdir -p "$2"
	mount --bind "$dir/$1" "$2"
}
own kubelet /var/lib/kubelet
own containerd /var/lib/containerd
own cni /var/lib/cni
own volumes /var/lib/epic-volumes
own pods /var/log/pods
own containers /var/log/containers
own etc-cni /etc/cni
own opt-cni /opt/cni
own epic-node /var/lib/epic-node
mkdir -p /opt/cni/bin /etc/cni/net.d /var/lib/epic-volumes/{1..12}

# containerd fills in the node's range of pod addresses when it learns it.
cat >"$dir/cni.conflist" <<JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "{{.PodCIDR}}"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
cat >"$dir/containerd.toml" <<TOML
version = 3
root = '/var/lib/containerd'
state = '/run/containerd'
disabled_plugins = [
  'io.containerd.snapshotter.v1.blockfile', 'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper', 'io.containerd.snapshotter.v1.erofs',
  'io.containerd.snapshotter.v1.zfs', 'io.containerd.internal.v1.opt',
  'io.containerd.tracing.processor.v1.otlp', 'io.containerd.nri.v1.nri']
[grpc]
  address = '/run/containerd/containerd.sock'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = 'docker.io/epic-e2e/pause:dev'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      BinaryName = '$BIN/runc'
      SystemdCgroup = false
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['$BIN', '/opt/cni/bin']
    conf_dir = '/etc/cni/net.d'
    conf_template = '$dir/cni.conflist'
TOML
cat >"$dir/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupRoot: /epic-$NODE
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
address: $IP
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $RUN/pki/ca.crt}}
authorization: {mode: Webhook}
clusterDomain: cluster.local
clusterDNS: [$EPIC_DNS]
resolvConf: /etc/resolv.conf
# Without CAP_SYS_RESOURCE these can't be raised or lowered.
maxOpenFiles: 20000
oomScoreAdj: 0
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi}
volumePluginDir: /var/lib/kubelet/volumeplugins
YAML
cat >"$dir/proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $RUN/proxy.kubeconfig}
clusterCIDR: $EPIC_PODS
hostnameOverride: $NODE
conntrack: {maxPerCore: 0, min: 0}
YAML

export PATH=$BIN:$PATH
containerd -c "$dir/containerd.toml" >"$dir/log/containerd.log" 2>&1 &
containerd=$!
until ctr -a /run/containerd/containerd.sock version >/dev/null 2>&1; do
	kill -0 $containerd
	sleep 0.1
done
for tar in "$BIN"/images/*.tar; do
	ctr -a /run/containerd/containerd.sock -n k8s.io images import --local "$tar"
done
# The kube-apiserver starts at the same time.
until (exec 3<>"/dev/tcp/$EPIC_NET.1/6443") 2>/dev/null; do sleep 0.2; done
kube-proxy --config="$dir/proxy.yaml" >"$dir/log/proxy.log" 2>&1 &
kubelet --config="$dir/kubelet.yaml" --kubeconfig="$RUN/$NODE.kubeconfig" \
	--hostname-override="$NODE" --node-ip="$IP" >"$dir/log/kubelet.log" 2>&1 &
wait -n $containerd $!
echo "containerd or the kubelet ended"
exit 1

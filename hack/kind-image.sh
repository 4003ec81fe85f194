#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hack/kind-image.sh TAG builds a node image for kind without a registry: Debian's
# packages, kind's own files from its Go module, and the programs of
# hack/cluster.sh. It wants root, debootstrap, jq, and a Docker that runs.
#
# The network of pods, kube-proxy and DNS are not those of the published image:
# hack/kind.sh configures them.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tag=${1:?Usage: hack/kind-image.sh TAG}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/epic-kind
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
packages=systemd,systemd-sysv,dbus,iproute2,iptables,nftables,kmod,procps,util-linux,mount,conntrack,ethtool,socat,libseccomp2,ca-certificates,jq,hostname
module=test/e2e/kind

hack/cluster.sh build
bin=$(hack/cluster.sh bin)
version=$("$bin/kube-apiserver" --version | awk '{ print $2 }')
mkdir -p "$cache/bin"
flags=(-buildvcs=false -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$(cut -d. -f2 <<<"$version")")
CGO_ENABLED=0 go build -C "$module" "${flags[@]}" -o "$cache/bin/" k8s.io/kubernetes/cmd/kubeadm

if [[ ! -e $cache/base.tar ]]; then
	echo "Installing Debian packages into $cache/base" >&2
	rm -rf "$cache/base"
	debootstrap --variant=minbase --include="$packages" bookworm "$cache/base" "$mirror" >"$cache/debootstrap.log"
	rm -rf "$cache"/base/var/cache/apt/archives/*.deb "$cache"/base/var/lib/apt/lists/*
	tar -C "$cache/base" -c . >"$cache/base.tar.part"
	mv "$cache/base.tar.part" "$cache/base.tar"
	rm -rf "$cache/base"
fi

root=$(mktemp -d "$cache/root.XXXX")
trap 'rm -rf "$root"' EXIT
tar -C "$root" -xf "$cache/base.tar"
go mod download -C "$module" sigs.k8s.io/kind
cp -r --no-preserve=mode "$(go list -C "$module" -m -f '{{.Dir}}' sigs.k8s.io/kind)/images/base/files/." "$root/"
chmod 755 "$root/kind" "$root"/kind/bin/* "$root/usr/local/bin/entrypoint"

# Programs.
install -D -t "$root/usr/bin" "$bin"/{kubelet,kubectl} "$cache/bin/kubeadm"
install -D -t "$root/usr/local/bin" "$bin"/{containerd,containerd-shim-runc-v2,ctr,kube-proxy}
install -D -t "$root/usr/local/sbin" "$bin/runc"
install -D -t "$root/opt/cni/bin" "$bin"/{bridge,host-local,loopback}
echo "$version" >"$root/kind/version"

# Images that kubeadm asks for, and DNS. A unit brings them into containerd before
# the kubelet starts, since containerd's folder is a volume of each node.
mkdir -p "$root/kind/images"
image() { "$bin/image" -out "$root/kind/images/${1##*/}.tar" -tag "$2" -user 0:0 "$bin/$1" >/dev/null; }
for program in kube-apiserver kube-controller-manager kube-scheduler; do image $program "registry.k8s.io/$program:$version"; done
while read -r name; do
	case $name in
	*/etcd:*) image etcd "$name" ;;
	*/pause:*) image pause "$name" && pause=$name ;;
	esac
done < <("$cache/bin/kubeadm" config images list --kubernetes-version "$version" 2>/dev/null)
image dns epic-e2e/dns:dev

# containerd: the sandbox's image, the pods' network from the node's range, and no
# scores for the OOM killer, which want a capability that a container may lack.
"$bin/ctr" oci spec |
	jq '.hooks.createContainer = [{path: "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' >"$root/etc/containerd/cri-base.json"
sed -i -e "s,sandbox_image = .*,sandbox_image = \"${pause:?kubeadm names no image pause}\"," \
	-e 's,restrict_oom_score_adj = false,restrict_oom_score_adj = true,' "$root/etc/containerd/config.toml"
cat >>"$root/etc/containerd/config.toml" <<'TOML'

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/opt/cni/bin"
  conf_dir = "/etc/cni/net.d"
  conf_template = "/kind/cni.conflist"
TOML
cat >"$root/kind/cni.conflist" <<'JSON'
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "{{.PodCIDR}}"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
mkdir -p "$root"/etc/cni/net.d "$root"/etc/systemd/system/containerd.service.d "$root"/etc/kubernetes/manifests "$root"/kind/manifests "$root"/var/lib/epic-volumes/{1..12}
printf '[Service]\nOOMScoreAdjust=0\n' >"$root/etc/systemd/system/containerd.service.d/10-score.conf"
cat >"$root/etc/systemd/system/images.service" <<'UNIT'
[Unit]
Description=Images of this node
After=containerd.service
Requires=containerd.service
Before=kubelet.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -ec 'for tar in /kind/images/*.tar; do ctr -n k8s.io images import --local $tar; done'

[Install]
WantedBy=multi-user.target
UNIT
# It uses the kubelet's credentials, which are there when the node has joined.
cat >"$root/etc/systemd/system/kube-proxy.service" <<'UNIT'
[Unit]
Description=kube-proxy
StartLimitIntervalSec=0

[Service]
ExecStartPre=/usr/bin/test -e /etc/kubernetes/kubelet.conf
ExecStart=/usr/local/bin/kube-proxy --kubeconfig=/etc/kubernetes/kubelet.conf --hostname-override=%H --proxy-mode=nftables --conntrack-max-per-core=0 --conntrack-min=0
Restart=always
RestartSec=1s

[Install]
WantedBy=multi-user.target
UNIT
# The default class, before the documents of volumes.
awk '/^---$/ { exit } { print }' test/e2e/cluster/volumes.yaml >"$root/kind/manifests/default-storage.yaml"

# A container's systemd starts what a node needs and nothing else.
rm -f "$root"/lib/systemd/system/multi-user.target.wants/* "$root"/etc/systemd/system/*.wants/* \
	"$root"/lib/systemd/system/local-fs.target.wants/* "$root"/lib/systemd/system/sockets.target.wants/*{udev,initctl}* \
	"$root"/lib/systemd/system/basic.target.wants/* "$root"/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service
systemctl --root="$root" --quiet enable containerd images kubelet kube-proxy undo-mount-hacks
systemctl --root="$root" --quiet mask systemd-binfmt
echo ReadKMsg=no >>"$root/etc/systemd/journald.conf"

tar -C "$root" -c . | docker import --change 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]' \
	--change 'ENV container=docker' - "$tag" >/dev/null
echo "$tag"

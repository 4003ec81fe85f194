// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func announcing() *epic.EPIC {
	o := validEPIC()
	o.Spec.Base.BGP = &epic.BGP{
		ASN: 64512, Communities: []string{"64512:100", "no-export", "64512:1:2"}, GracefulRestartSeconds: ptr.To[int32](0),
		Peers: []epic.BGPPeer{
			{
				Name: "tor-1", Address: "192.0.2.1", ASN: 4294967295, Port: 179, HoldTimeSeconds: 90, MaxPrefixes: 10000, TTLSecurity: true, PasswordName: "tor-1.key",
				NodeSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"topology.kubernetes.io/zone": "a"}},
				BFD:          &epic.BFD{TransmitMilliseconds: 100, ReceiveMilliseconds: 100, DetectMultiplier: 3},
			},
			{Name: "tor-2", Address: "2001:db8::1", ASN: 1, Port: 1790, HoldTimeSeconds: 3, MaxPrefixes: 1, MultihopTTL: 2},
		},
	}
	o.Spec.Base.Layer2 = &epic.Layer2{Interfaces: []string{"eth0", "eth1.5"}, NodeSelector: &metav1.LabelSelector{}}
	return o
}

func TestAnnounce(t *testing.T) {
	type changed = change[epic.EPIC]
	bgp := func(name string, f func(*epic.BGP), field, message string) changed {
		return changed{name, func(o *epic.EPIC) { f(o.Spec.Base.BGP) }, "spec.base.bgp." + field, message}
	}
	peer := func(name string, f func(*epic.BGPPeer), field, message string) changed {
		return changed{name, func(o *epic.EPIC) { f(&o.Spec.Base.BGP.Peers[0]) }, "spec.base.bgp.peers[0]." + field, message}
	}
	creations(t, announcing, ValidateEPIC, []changed{
		{"no peers", func(o *epic.EPIC) { o.Spec.Base.BGP.Peers = nil }, "", ""},
		bgp("no number", func(b *epic.BGP) { b.ASN = 0 }, "asn", "such as 64512"),
		bgp("a negative number", func(b *epic.BGP) { b.ASN = -1 }, "asn", "from 1 to 4294967295"),
		bgp("a large number", func(b *epic.BGP) { b.ASN = 1 << 32 }, "asn", "from 1 to 4294967295"),
		bgp("port", func(b *epic.BGP) { b.ListenPort = 65536 }, "listen-port", "from 1 to 65535"),
		bgp("negative port", func(b *epic.BGP) { b.ListenPort = -1 }, "listen-port", "from 1 to 65535"),
		bgp("community", func(b *epic.BGP) { b.Communities[0] = "64512" }, "communities[0]", "two numbers"),
		bgp("community of large numbers", func(b *epic.BGP) { b.Communities[0] = "65536:1" }, "communities[0]", "from 0 to 65535"),
		bgp("community twice", func(b *epic.BGP) { b.Communities[0] = "no-export" }, "communities[1]", "Duplicate"),
		bgp("many communities", func(b *epic.BGP) { b.Communities = make([]string, 33) }, "communities", "more than 32"),
		bgp("restart time", func(b *epic.BGP) { b.GracefulRestartSeconds = ptr.To[int32](4096) }, "graceful-restart-seconds", "from 0 to 4095"),
		bgp("many peers", func(b *epic.BGP) { b.Peers = make([]epic.BGPPeer, 65) }, "peers", "more than 64"),
		bgp("a peer twice", func(b *epic.BGP) { b.Peers[1].Name = "tor-1" }, "peers[1].name", "Duplicate"),
		peer("name", func(p *epic.BGPPeer) { p.Name = "" }, "name", "must have a name"),
		peer("name with a dot", func(p *epic.BGPPeer) { p.Name = "a.b" }, "name", "must not contain dots"),
		peer("no address", func(p *epic.BGPPeer) { p.Address = "" }, "address", "must be an IP address"),
		peer("address with a zone", func(p *epic.BGPPeer) { p.Address = "fe80::1%eth0" }, "address", "not have a zone"),
		peer("link-local address", func(p *epic.BGPPeer) { p.Address = "fe80::1" }, "address", "link-local"),
		peer("loopback address", func(p *epic.BGPPeer) { p.Address = "127.0.0.1" }, "address", "loopback"),
		peer("a name for an address", func(p *epic.BGPPeer) { p.Address = "tor-1" }, "address", "must be an IP address"),
		peer("peer's number", func(p *epic.BGPPeer) { p.ASN = 0 }, "asn", "autonomous system number"),
		peer("peer's port", func(p *epic.BGPPeer) { p.Port = 0 }, "port", "from 1 to 65535"),
		peer("selector", func(p *epic.BGPPeer) { p.NodeSelector.MatchLabels["a b"] = "c" }, "node-selector.matchLabels", "name part"),
		peer("selector's operator", func(p *epic.BGPPeer) {
			p.NodeSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}
		}, "node-selector.matchExpressions[0].operator", "not a valid selector operator"),
		peer("large selector", func(p *epic.BGPPeer) {
			for i := range 33 {
				p.NodeSelector.MatchLabels[fmt.Sprint("l", i)] = "v"
			}
		}, "node-selector.matchLabels", "more than 32"),
		peer("password", func(p *epic.BGPPeer) { p.PasswordName = "../../etc/shadow" }, "password-name", "Set the name of the password here, not the password"),
		peer("hidden password", func(p *epic.BGPPeer) { p.PasswordName = "..data" }, "password-name", "not starting with a dot"),
		peer("hold time", func(p *epic.BGPPeer) { p.HoldTimeSeconds = 2 }, "hold-time-seconds", "from 3 to 65535"),
		peer("hop count", func(p *epic.BGPPeer) { p.TTLSecurity, p.MultihopTTL = false, 256 }, "multihop-ttl", "from 2 to 255"),
		peer("hop count and security", func(p *epic.BGPPeer) { p.MultihopTTL = 5 }, "multihop-ttl", "remove one of the two"),
		{"internal peer's hop count", func(o *epic.EPIC) {
			p := &o.Spec.Base.BGP.Peers[0]
			p.TTLSecurity, p.MultihopTTL, p.ASN = false, 5, 64512
		}, "", ""},
		peer("interval", func(p *epic.BGPPeer) { p.BFD.TransmitMilliseconds = 9 }, "bfd.transmit-milliseconds", "from 10 to 60000"),
		peer("other interval", func(p *epic.BGPPeer) { p.BFD.ReceiveMilliseconds = 60001 }, "bfd.receive-milliseconds", "from 10 to 60000"),
		peer("multiplier", func(p *epic.BGPPeer) { p.BFD.DetectMultiplier = 1 }, "bfd.detect-multiplier", "from 2 to 255"),
		peer("prefixes", func(p *epic.BGPPeer) { p.MaxPrefixes = 0 }, "max-prefixes", "from 1 to 100000"),
		{"interface", func(o *epic.EPIC) { o.Spec.Base.Layer2.Interfaces[1] = "a/b" }, "spec.base.layer2.interfaces[1]", "network interface"},
		{"interface twice", func(o *epic.EPIC) { o.Spec.Base.Layer2.Interfaces[1] = "eth0" }, "spec.base.layer2.interfaces[1]", "Duplicate"},
		{"selector of layer 2", func(o *epic.EPIC) {
			o.Spec.Base.Layer2.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "-"}}
		}, "spec.base.layer2.node-selector.matchLabels", "alphanumeric"},
	})
}

func TestBGPPeersStatus(t *testing.T) {
	valid := func() *epic.GatewayNode {
		return &epic.GatewayNode{Status: epic.GatewayNodeStatus{BGPPeers: []epic.BGPPeerStatus{
			{Name: "a", Address: "192.0.2.1", State: epic.SessionUp, BFD: epic.SessionDown}, {Name: "b", Address: "2001:db8::1", State: epic.SessionDown, Message: "no answer"},
		}}}
	}
	type changed = change[epic.GatewayNode]
	updates(t, valid, ValidateGatewayNodeStatusUpdate, []changed{
		{"many peers", func(o *epic.GatewayNode) { o.Status.BGPPeers = make([]epic.BGPPeerStatus, 65) }, "status.bgp-peers", "more than 64"},
		{"a peer twice", func(o *epic.GatewayNode) { o.Status.BGPPeers[1].Name = "a" }, "status.bgp-peers[1].name", "Duplicate"},
		{"a name", func(o *epic.GatewayNode) { o.Status.BGPPeers[1].Name = "A" }, "status.bgp-peers[1].name", "lowercase"},
		{"an address", func(o *epic.GatewayNode) { o.Status.BGPPeers[1].Address = "x" }, "status.bgp-peers[1].address", "must be an IP address"},
		{"a state", func(o *epic.GatewayNode) { o.Status.BGPPeers[1].State = "" }, "status.bgp-peers[1].state", "Up, Down"},
		{"a state of BFD", func(o *epic.GatewayNode) { o.Status.BGPPeers[1].BFD = "Init" }, "status.bgp-peers[1].bfd", "Up, Down"},
		{"a message", func(o *epic.GatewayNode) { o.Status.BGPPeers[1].Message = long(1025) }, "status.bgp-peers[1].message", "shorten"},
		{"routes", func(o *epic.GatewayNode) { o.Status.AnnouncedRoutes = -1 }, "status.announced-routes", "negative"},
		{"layer 2", func(o *epic.GatewayNode) { o.Status.Layer2Addresses = -1 }, "status.layer2-addresses", "negative"},
	})
}

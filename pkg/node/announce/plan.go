// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"fmt"
	"maps"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/bgpcommunity"
	"github.com/acnodal/epic/pkg/node/announce/bfd"
	"github.com/acnodal/epic/pkg/node/announce/layer2"
	"github.com/acnodal/epic/pkg/node/announce/speaker"
	"github.com/acnodal/epic/pkg/node/host"
)

// Config is the configuration set by the platform team.
type Config struct {
	BGP    *epicv1.BGP    `json:"bgp,omitempty"`
	Layer2 *epicv1.Layer2 `json:"layer2,omitempty"`
}

// Node is this node.
type Node struct {
	Address netip.Addr
	Name    string
	// Labels are the labels of its Node object, or those passed to its program.
	Labels map[string]string
}

// Plan is what to announce.
type Plan struct {
	Speaker speaker.Settings
	// BFD lists the peers with a BFD session.
	BFD []bfd.Peer
	// Layer2 has the addresses for which to answer.
	Layer2 layer2.Settings
	// Unready lists the peers of this node that can't have a session, with the reasons.
	Unready []speaker.PeerState
	// Problems lists settings that can't be applied.
	Problems []string
}

// Make computes a plan. password returns the password with a name.
func Make(c Config, n Node, has host.Announcements, password func(name string) (string, error)) Plan {
	var p Plan
	if c.BGP != nil {
		p.bgp(c.BGP, n, has, password)
	}
	if c.Layer2 != nil {
		mine, err := selects(c.Layer2.NodeSelector, n)
		if err != nil {
			p.problem("spec.base.layer2.node-selector: %v", err)
		}
		if mine && err == nil {
			p.Layer2 = layer2.Settings{Enabled: true, Interfaces: c.Layer2.Interfaces, Addresses: has.Addresses}
		}
	}
	return p
}

func (p *Plan) bgp(b *epicv1.BGP, n Node, has host.Announcements, password func(name string) (string, error)) {
	asn, ok := number(b.ASN)
	if !ok {
		p.problem("spec.base.bgp.asn: %d is not an autonomous system number", b.ASN)
		return
	}
	p.Speaker.Local = speaker.Local{ASN: asn, RouterID: speaker.RouterID(n.Address), ListenPort: uint16(b.ListenPort)}
	for i, text := range b.Communities {
		community, err := bgpcommunity.Parse(text)
		if err != nil {
			p.problem("spec.base.bgp.communities[%d]: %q: %v", i, text, err)
			continue
		}
		p.Speaker.Local.Communities = append(p.Speaker.Local.Communities, community)
	}
	var restart time.Duration
	if s := b.GracefulRestartSeconds; s != nil {
		restart = time.Duration(*s) * time.Second
	}
	families := map[bool]bool{}
	addresses := map[netip.Addr]string{}
	for i := range b.Peers {
		peer := &b.Peers[i]
		mine, err := selects(peer.NodeSelector, n)
		if err != nil {
			p.problem("BGP peer %s: node-selector: %v", peer.Name, err)
			continue
		}
		if !mine {
			continue
		}
		out, err := sessionOf(peer, restart)
		if err != nil {
			p.problem("BGP peer %s: %v", peer.Name, err)
			continue
		}
		if other, twice := addresses[out.Address]; twice {
			p.problem("BGP peer %s: its address %s is also that of %s: use a node-selector that selects one of them for this node", peer.Name, out.Address, other)
			continue
		}
		addresses[out.Address] = peer.Name
		if peer.PasswordName != "" {
			if out.Password, err = password(peer.PasswordName); err != nil {
				p.Unready = append(p.Unready, speaker.PeerState{Name: peer.Name, Address: out.Address, Message: err.Error()})
				p.problem("BGP peer %s: %v", peer.Name, err)
				continue
			}
		}
		families[out.Address.Is4()] = true
		p.Speaker.Peers = append(p.Speaker.Peers, out)
		if peer.BFD != nil {
			p.BFD = append(p.BFD, bfd.Peer{Address: out.Address, Hops: max(out.MultihopTTL, 1), Config: bfdOf(peer.BFD)})
		}
	}
	for _, route := range has.Routes {
		// A route whose family no peer accepts would only use memory.
		if families[route.Addr().Is4()] {
			p.Speaker.Routes = append(p.Speaker.Routes, route)
		}
	}
}

func (p *Plan) problem(format string, args ...any) {
	p.Problems = append(p.Problems, fmt.Sprintf(format, args...))
}

// number converts an autonomous system number.
func number(n int64) (uint32, bool) {
	return uint32(n), n > 0 && n < 1<<32
}

// sessionOf returns the settings of a peer's session, without its password.
func sessionOf(p *epicv1.BGPPeer, restart time.Duration) (speaker.Peer, error) {
	address, err := netip.ParseAddr(p.Address)
	if err != nil || address.Zone() != "" {
		return speaker.Peer{}, fmt.Errorf("address: %q is not an IP address without a zone", p.Address)
	}
	asn, ok := number(p.ASN)
	if !ok {
		return speaker.Peer{}, fmt.Errorf("asn: %d is not an autonomous system number", p.ASN)
	}
	return speaker.Peer{
		Name: p.Name, Address: address.Unmap(), ASN: asn, Port: uint16(p.Port),
		HoldTime: time.Duration(p.HoldTimeSeconds) * time.Second, MultihopTTL: uint8(p.MultihopTTL),
		TTLSecurity: p.TTLSecurity, MaxPrefixes: uint32(max(p.MaxPrefixes, 1)), GracefulRestart: restart,
	}, nil
}

// bfdOf returns the settings of a peer's BFD session.
func bfdOf(b *epicv1.BFD) bfd.Config {
	const least = 10 // the minimum that the API allows; a session with 0 would never pause
	return bfd.Config{
		Transmit:   time.Duration(max(b.TransmitMilliseconds, least)) * time.Millisecond,
		Receive:    time.Duration(max(b.ReceiveMilliseconds, least)) * time.Millisecond,
		Multiplier: uint8(min(max(b.DetectMultiplier, 1), 255)),
	}
}

// selects reports whether a selector selects a node. A nil selector selects all.
func selects(s *metav1.LabelSelector, n Node) (bool, error) {
	if s == nil {
		return true, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return false, err
	}
	all := labels.Set{corev1.LabelHostname: n.Name}
	maps.Copy(all, n.Labels)
	return selector.Matches(all), nil
}

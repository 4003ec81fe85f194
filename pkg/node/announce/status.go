// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"cmp"
	"net"
	"net/netip"
	"time"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/announce/layer2"
)

// Status describes what is announced, and to whom.
type Status struct {
	Peers  []Peer         `json:"peers,omitempty"`
	Routes []netip.Prefix `json:"routes,omitempty"`
	// Layer2 lists the addresses for which this node answers or is a candidate.
	Layer2 []Layer2 `json:"layer2,omitempty"`
	// Waiting lists addresses that this node delivers but does not announce before its
	// tunnels carry packets.
	Waiting []netip.Addr `json:"waiting,omitempty"`
	// Takeovers is how often this node took over such an address.
	Takeovers uint64 `json:"takeovers,omitempty"`
	// Problems describes settings that can't be applied.
	Problems []string `json:"problems,omitempty"`
}

// Layer2 is the role of this node for an address on an interface.
type Layer2 struct {
	Address   netip.Addr `json:"address"`
	Interface string     `json:"interface"`
	// Role is Owner, Leaving, Candidate or Idle.
	Role string `json:"role"`
	// Holder is the hardware address that has the address.
	Holder string `json:"holder,omitempty"`
}

// Answered returns the number of addresses for which this node answers on layer 2.
func (s *Status) Answered() int {
	answered := map[netip.Addr]bool{}
	for _, l := range s.Layer2 {
		if l.Role == string(layer2.Owner) || l.Role == string(layer2.Leaving) {
			answered[l.Address] = true
		}
	}
	return len(answered)
}

func holder(m layer2.MAC) string {
	if m == (layer2.MAC{}) {
		return ""
	}
	return net.HardwareAddr(m[:]).String()
}

// Peer is a session with a BGP peer.
type Peer struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// Local is the address of this end.
	Local netip.Addr `json:"local,omitzero"`
	Up    bool       `json:"up"`
	// HasBFD indicates that the peer has a BFD session, and BFDUp that it is up.
	HasBFD bool `json:"hasBFD,omitempty"`
	BFDUp  bool `json:"bfdUp,omitempty"`
	// Since is when the session was established.
	Since time.Time `json:"since,omitzero"`
	// Refused is the number of routes that the peer sends, none of which is used.
	Refused uint64 `json:"refused,omitempty"`
	// Message is why the session is down.
	Message string `json:"message,omitempty"`
}

func (p Peer) compare(o Peer) int {
	return cmp.Or(cmp.Compare(p.Name, o.Name), p.Address.Compare(o.Address))
}

// State returns the state of the session in the API's form.
func (p Peer) State() epicv1.SessionState { return state(p.Up) }

// BFD returns the state of the BFD session in the API's form, or "" if there is none.
func (p Peer) BFD() epicv1.SessionState {
	if !p.HasBFD {
		return ""
	}
	return state(p.BFDUp)
}

func state(up bool) epicv1.SessionState {
	if up {
		return epicv1.SessionUp
	}
	return epicv1.SessionDown
}

func hasSelector(p epicv1.BGPPeer) bool { return p.NodeSelector != nil }

// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"cmp"
	"net/netip"
	"time"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Status is what is announced, and to whom.
type Status struct {
	Peers  []Peer         `json:"peers,omitempty"`
	Routes []netip.Prefix `json:"routes,omitempty"`
	// Problems are settings that can't be followed, in words.
	Problems []string `json:"problems,omitempty"`
}

// Peer is a session with a BGP peer.
type Peer struct {
	Name    string     `json:"name"`
	Address netip.Addr `json:"address"`
	// Local is the address of this end.
	Local netip.Addr `json:"local,omitzero"`
	Up    bool       `json:"up"`
	// HasBFD says whether there is a BFD session with the peer, and BFDUp whether that is up.
	HasBFD bool `json:"hasBFD,omitempty"`
	BFDUp  bool `json:"bfdUp,omitempty"`
	// Since is when the session was established.
	Since time.Time `json:"since,omitzero"`
	// Refused is how many routes the peer sends, none of which is used.
	Refused uint64 `json:"refused,omitempty"`
	// Message says why the session is down.
	Message string `json:"message,omitempty"`
}

func (p Peer) compare(o Peer) int {
	return cmp.Or(cmp.Compare(p.Name, o.Name), p.Address.Compare(o.Address))
}

// State is the state of the session as the API has it.
func (p Peer) State() epicv1.SessionState { return state(p.Up) }

// BFD is the state of the BFD session as the API has it, "" if there is none.
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

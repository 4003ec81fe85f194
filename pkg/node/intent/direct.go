// SPDX-License-Identifier: Apache-2.0

package intent

import (
	"net/netip"
	"slices"
	"time"

	"github.com/acnodal/epic/pkg/endpoints"
)

// Direct is an endpoint that a proxy reaches without a tunnel.
type Direct struct {
	Address  netip.AddrPort `json:"address"`
	Protocol uint8          `json:"protocol"`
}

// Shut is an endpoint without a tunnel that stays closed.
type Shut struct {
	Direct
	// Reason is one of the constants below.
	Reason Reason `json:"reason"`
}

// Reason explains why an endpoint stays closed.
type Reason string

// Values of Reason.
const (
	// NodeUnreadable is an endpoint that names a node with an invalid address.
	NodeUnreadable Reason = "the address of its node can't be read"
	// AddressInTunnel is an endpoint with the same address as another one that names a
	// node.
	AddressInTunnel Reason = "another endpoint with this address names a node"
	// HadTunnel is an endpoint that had a tunnel: packets of its open connections must
	// not leave outside of it.
	HadTunnel Reason = "it had a tunnel: delete the endpoint, and create it again"
)

// fillDirect adds the endpoints that do not need a tunnel. An address behind a tunnel is
// only reached by that.
func (i *Intent) fillDirect(all []endpoints.Endpoint) {
	behind := map[netip.Addr]bool{}
	for n := range all {
		if !all[n].Direct() {
			behind[all[n].Address.Addr()] = true
		}
	}
	for n := range all {
		e := &all[n]
		// A port of 0 is unknown.
		if e.Node.IsValid() || e.Address.Port() == 0 {
			continue
		}
		d := Direct{e.Address, e.Protocol}
		switch {
		case e.Unreadable:
			i.Shut = append(i.Shut, Shut{d, NodeUnreadable})
		case behind[e.Address.Addr()]:
			i.Shut = append(i.Shut, Shut{d, AddressInTunnel})
		default:
			i.Direct = append(i.Direct, d)
		}
	}
}

// After returns the intent that follows an earlier one of the same object. An endpoint
// that had a tunnel never becomes a direct one, as long as the object has it. An endpoint
// that the object no longer has becomes a leaving one.
func (i *Intent) After(before *Intent, now time.Time) *Intent {
	after := *i
	after.keepShut(before)
	after.Leaving = after.leave(before, now)
	return &after
}

// keepShut keeps endpoints closed that had a tunnel.
func (i *Intent) keepShut(before *Intent) {
	if len(i.Direct) == 0 || len(before.Endpoints)+len(before.Shut) == 0 {
		return
	}
	had := map[Direct]bool{}
	for n := range before.Endpoints {
		had[Direct{before.Endpoints[n].Address, before.Endpoints[n].Protocol}] = true
	}
	for _, s := range before.Shut {
		if s.Reason == HadTunnel {
			had[s.Direct] = true
		}
	}
	direct, shut := i.Direct, slices.Clone(i.Shut)
	i.Direct = nil
	for _, d := range direct {
		if had[d] {
			shut = append(shut, Shut{d, HadTunnel})
		} else {
			i.Direct = append(i.Direct, d)
		}
	}
	i.Shut = shut
}

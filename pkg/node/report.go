// SPDX-License-Identifier: Apache-2.0

package node

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

// upWithin is how long after its last message a client node counts as up: it sends one
// each ten seconds, and a few may be lost.
const upWithin = 45 * time.Second

// Report implements status.Source.
func (a *agent) Report() status.Report {
	source, _ := a.source.Load().(string)
	saved, saveErr := a.saver.last()
	r := status.Report{
		Role: a.role, Version: a.Version, Name: a.Name, Nodes: a.Nodes, Port: a.Port,
		Started: a.started, Now: time.Now(), Source: source, Saved: saved,
		Interfaces: a.underlay.Interfaces(), Proxies: a.listProxies(), Control: map[string]uint64{},
		Tunnels: []status.Tunnel{}, Problems: a.underlay.Problems(), Repairs: a.repairs.Load(),
	}
	problem := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }
	if source != "api" {
		problem("not everything has been read from the API yet (state from: %s)", source)
	}
	followed := a.follower.Err()
	if followed != nil {
		problem("can't watch the API: %v", followed)
	}
	reached := a.Reach.Err()
	if reached != nil {
		problem("the API does not respond: %v", reached)
	}
	r.Synced = source == "api" && followed == nil && reached == nil
	if err := a.fetcher.Err(); err != nil {
		problem("%v", err)
	}
	if saveErr != nil {
		problem("can't write the state to disk: %v", saveErr)
	}
	if text, _ := a.repairErr.Load().(string); text != "" {
		problem("%s", text)
	}
	for _, result := range gue.Results() {
		r.Control[result.String()] = a.control.Count(result)
	}
	if a.socket != nil {
		r.SendErrors = a.socket.SendErrors.Load()
	}
	a.reportTunnels(&r)
	drops, err := a.Plane.Drops()
	if err != nil {
		problem("can't read the drop counters: %v", err)
	}
	r.Drops = drops
	if r.Flows, err = a.Plane.FlowCounts(); err != nil {
		problem("can't read the flow counters: %v", err)
	}
	if r.Fragments, err = a.Plane.FragmentCounts(); err != nil {
		problem("can't read the fragment counters: %v", err)
	}
	r.Problems = append(append(r.Problems, a.extra()...), a.Access.problems()...)
	r.CredentialExpires = a.Access.expires()
	if a.reportMore != nil {
		a.reportMore(&r)
	}
	return r
}

func (a *agent) reportTunnels(r *status.Report) {
	peers := map[uint32]gue.PeerState{}
	a.control.Each(func(id uint32, s gue.PeerState) { peers[id] = s })
	counters, err := a.Plane.Tunnels().Counters()
	if err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("can't read counters: %v", err))
	}
	a.applier.Each(func(s apply.State) {
		if s.Err != nil {
			r.Failed++
			r.Problems = append(r.Problems, fmt.Sprintf("%s can't be programmed: %v", s.Intent.Key, s.Err))
		} else {
			r.Applied++
		}
		for _, p := range s.Plan.Problems {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: %s", s.Intent.Key, p))
		}
		services := map[uint32]int{}
		for i := range s.Plan.Services {
			if !s.Plan.Services[i].Leaving {
				services[s.Plan.Services[i].Tunnel]++
			}
		}
		for _, t := range s.Plan.Tunnels {
			peer := peers[t.ID]
			out := status.Tunnel{
				ID: t.ID, Kind: string(s.Intent.Kind), Namespace: s.Intent.Namespace, Object: s.Intent.Name,
				Local: t.Local, Remote: cmpOr(peer.Remote, t.Remote), MTU: t.MTU, Seen: peer.Seen, RTT: peer.RTT,
				Unanswered: peer.Unanswered, Services: services[t.ID], Counters: counters[t.ID],
			}
			out.Cookies = cookiesOf(peer.Cookies)
			if peer.Cookies.Sent {
				out.MTU -= gue.CookieSize
			}
			r.Tunnels = append(r.Tunnels, out)
		}
	})
	// Do not call judge within Each: it may hold a lock while it calls the applier.
	for i := range r.Tunnels {
		t := &r.Tunnels[i]
		peer, known := peers[t.ID]
		t.State = a.stateOf(t.ID, peer, known, r.Now)
	}
	slices.SortFunc(r.Tunnels, func(x, y status.Tunnel) int { return cmp.Compare(x.ID, y.ID) })
}

func cookiesOf(use gue.CookieUse) status.Cookies {
	switch {
	case use.Required:
		return status.CookiesRequired
	case use.Sent:
		return status.CookiesSent
	}
	return status.CookiesNone
}

func (a *agent) stateOf(tunnel uint32, peer gue.PeerState, known bool, now time.Time) string {
	judged := tunnelstate.Unknown
	if a.judge != nil {
		judged = a.judge(tunnel)
	}
	switch {
	case !known:
		return status.NoKey
	case judged == tunnelstate.Up:
		return status.Up
	case judged == tunnelstate.Down && peer.Remote.IsValid():
		return status.Down
	case peer.Seen.IsZero() || judged == tunnelstate.Down:
		return status.Opening
	case a.role == roleClient && peer.Up, a.role == roleGateway && now.Sub(peer.Seen) < upWithin:
		return status.Up
	}
	return status.Down
}

func cmpOr(a, b netip.AddrPort) netip.AddrPort {
	if a.IsValid() {
		return a
	}
	return b
}

const (
	roleGateway = "gateway"
	roleClient  = "client"
)

var _ status.Source = (*agent)(nil)

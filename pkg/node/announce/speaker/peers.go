// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	api "github.com/osrg/gobgp/v4/api"
)

// removePeers ends the sessions with peers that are no longer wanted or whose settings
// changed.
func (s *Speaker) removePeers(ctx context.Context, want []Peer) error {
	wanted := map[netip.Addr]Peer{}
	for _, p := range want {
		wanted[p.Address] = p
	}
	var errs []error
	for address, p := range s.running.peers {
		if wanted[address] == p {
			continue
		}
		if err := s.running.DeletePeer(ctx, &api.DeletePeerRequest{Address: address.String()}); err != nil {
			errs = append(errs, fmt.Errorf("end the session with %s: %w", p.Name, err))
			continue
		}
		s.running.forget(address)
	}
	return errors.Join(errs...)
}

func (r *running) forget(address netip.Addr) {
	delete(r.peers, address)
	delete(r.blocked, address)
	r.mu.Lock()
	delete(r.reasons, address)
	r.mu.Unlock()
}

// addPeers creates sessions with the peers that have none.
func (s *Speaker) addPeers(ctx context.Context, want []Peer) error {
	var errs []error
	for _, p := range want {
		if _, there := s.running.peers[p.Address]; there {
			continue
		}
		if err := s.running.AddPeer(ctx, &api.AddPeerRequest{Peer: libraryPeer(p, s.restarting)}); err != nil {
			s.failed[p.Name] = err
			errs = append(errs, fmt.Errorf("set up the session with %s: %w", p.Name, err))
			continue
		}
		s.running.peers[p.Address] = p
	}
	return errors.Join(errs...)
}

// libraryPeer converts a peer for the library.
func libraryPeer(p Peer, restarting bool) *api.Peer {
	family := &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}
	if p.Address.Is6() {
		family.Afi = api.Family_AFI_IP6
	}
	graceful := p.GracefulRestart > 0
	out := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: p.Address.String(), PeerAsn: p.ASN, AuthPassword: p.Password, Description: p.Name},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime: seconds(p.HoldTime), ConnectRetry: seconds(connectRetry), IdleHoldTimeAfterReset: seconds(idleAfterReset),
		}},
		Transport: &api.Transport{RemotePort: uint32(p.Port)},
		AfiSafis: []*api.AfiSafi{{
			Config:            &api.AfiSafiConfig{Family: family, Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: graceful}},
			PrefixLimits:      &api.PrefixLimit{Family: family, MaxPrefixes: p.MaxPrefixes},
		}},
		GracefulRestart: &api.GracefulRestart{
			Enabled: graceful, RestartTime: uint32(seconds(p.GracefulRestart)), DeferralTime: uint32(seconds(deferral)), LocalRestarting: graceful && restarting,
		},
	}
	switch {
	case p.TTLSecurity:
		out.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 255}
	case p.MultihopTTL != 0:
		out.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(p.MultihopTTL)}
	}
	return out
}

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }

// Reset ends the session with a peer if it is established. The session is retried soon.
func (s *Speaker) Reset(ctx context.Context, address netip.Addr, why string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running == nil {
		return nil
	}
	if _, there := s.running.peers[address]; !there {
		return nil
	}
	// Otherwise, the library would keep the notification for the next session.
	established := false
	err := s.running.ListPeer(ctx, &api.ListPeerRequest{Address: address.String()}, func(p *api.Peer) {
		established = p.GetState().GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED
	})
	if err != nil || !established {
		return err
	}
	return s.running.ResetPeer(ctx, &api.ResetPeerRequest{Address: address.String(), Communication: why})
}

// States returns the states of the sessions with the wanted peers, in order. It also lets
// peers retry that were blocked for long enough.
func (s *Speaker) States(ctx context.Context) []PeerState {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]*api.Peer{}
	var unread error
	if s.running != nil {
		unread = s.running.ListPeer(ctx, &api.ListPeerRequest{EnableAdvertised: false}, func(p *api.Peer) {
			found[p.GetConf().GetNeighborAddress()] = p
		})
	}
	out := make([]PeerState, 0, len(s.wanted))
	for _, p := range s.wanted {
		state := PeerState{Name: p.Name, Address: p.Address}
		if is := found[p.Address.String()]; is != nil {
			s.fill(ctx, &state, is)
		} else if err := cmp.Or(s.failed[p.Name], unread); err != nil {
			state.Message = err.Error()
		} else {
			state.Message = "the session is not set up yet"
		}
		out = append(out, state)
	}
	return out
}

func (s *Speaker) fill(ctx context.Context, state *PeerState, is *api.Peer) {
	for _, f := range is.GetAfiSafis() {
		state.Refused += f.GetState().GetReceived()
	}
	if is.GetState().GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED {
		state.Established = true
		state.Local, _ = netip.ParseAddr(is.GetTransport().GetLocalAddress())
		state.Since = is.GetTimers().GetState().GetUptime().AsTime()
		return
	}
	if is.GetState().GetAdminState() == api.PeerState_ADMIN_STATE_PFX_CT {
		state.Message = s.block(ctx, state.Address)
		return
	}
	s.running.mu.Lock()
	defer s.running.mu.Unlock()
	if state.Message = s.running.reasons[state.Address]; state.Message == "" {
		state.Message = "the peer does not answer: it may be down, not accept this node, or use another password"
	}
}

// block blocks a peer that sent too many routes for a while.
func (s *Speaker) block(ctx context.Context, address netip.Addr) string {
	r, now := s.running, time.Now()
	until, blocked := r.blocked[address]
	switch {
	case !blocked:
		until = now.Add(blockedFor)
		r.blocked[address] = until
	case now.After(until):
		delete(r.blocked, address)
		if err := r.EnablePeer(ctx, &api.EnablePeerRequest{Address: address.String()}); err != nil {
			return err.Error()
		}
	}
	return fmt.Sprintf("the peer sends more than %d routes, and the node uses none of them: configure the peer to send none, or raise max-prefixes. The node tries again after %s", r.peers[address].MaxPrefixes, blockedFor)
}

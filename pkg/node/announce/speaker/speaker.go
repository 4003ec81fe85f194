// SPDX-License-Identifier: Apache-2.0

package speaker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	api "github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	"github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"k8s.io/klog/v2"
)

const (
	// connectRetry is the interval of connection attempts to a peer, and idleAfterReset
	// the delay after a session was reset.
	connectRetry, idleAfterReset = 5 * time.Second, 2 * time.Second
	// deferral is how long a restarted speaker waits for the routes of its peers before
	// it announces. It uses none of them.
	deferral = time.Second
	// blockedFor is how long a peer has no session after it sent too many routes.
	blockedFor = 5 * time.Minute
	// quiet is the verbosity of the library's notices; that of its warnings is four
	// lower.
	quiet = 6
)

// Options configures a Speaker.
type Options struct {
	// Restarting indicates that packets to the routes were forwarded while the speaker
	// was not running, so peers may keep the routes of its predecessor until it has
	// announced its own.
	Restarting bool
	// Changed is called when the state of a session may have changed. It must not call the
	// speaker.
	Changed func()
}

// Speaker announces routes to peers. Its methods may be called concurrently.
type Speaker struct {
	options Options

	mu      sync.Mutex
	running *running
	local   Local
	// wanted holds the peers of the last Apply, in order; failed the errors of those that
	// could not be set up.
	wanted []Peer
	failed map[string]error
	// restarting is true until the first peers are set up.
	restarting bool
}

// running is a running server of the library.
type running struct {
	*server.BgpServer
	cancel context.CancelFunc
	peers  map[netip.Addr]Peer
	routes map[netip.Prefix]bool
	// blocked holds the peers that sent too many routes, and when they may retry.
	blocked map[netip.Addr]time.Time
	// reasons holds why sessions last ended.
	mu      sync.Mutex
	reasons map[netip.Addr]string
}

// New returns a speaker without settings.
func New(o Options) *Speaker {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Speaker{options: o, restarting: o.Restarting, failed: map[string]error{}}
}

// Apply updates sessions and routes. Failed parts are retried by the next Apply, and do
// not prevent the rest.
func (s *Speaker) Apply(ctx context.Context, want Settings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = slices.Clone(want.Peers)
	if s.running != nil && (len(want.Peers) == 0 || !s.local.sameServer(want.Local)) {
		s.stop(ctx, false)
	}
	s.failed = map[string]error{}
	if len(want.Peers) == 0 {
		return nil
	}
	if s.running == nil {
		r, err := s.start(ctx, want.Local)
		if err != nil {
			return err
		}
		s.running, s.local = r, want.Local
	}
	var errs []error
	// A new session immediately sends all routes, so update them first; routes of a
	// session that will be removed need not be withdrawn.
	errs = append(errs, s.removePeers(ctx, want.Peers), s.applyRoutes(want), s.addPeers(ctx, want.Peers))
	s.local = want.Local
	s.restarting = false
	return errors.Join(errs...)
}

// Stop ends all sessions. If graceful is set, peers that agreed to graceful restart keep
// the routes for the agreed time.
func (s *Speaker) Stop(ctx context.Context, graceful bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = nil
	s.stop(ctx, graceful)
}

func (s *Speaker) stop(ctx context.Context, graceful bool) {
	r := s.running
	if r == nil {
		return
	}
	s.running = nil
	r.cancel()
	if !graceful {
		r.BgpServer.Stop()
		return
	}
	if err := r.StopBgp(ctx, &api.StopBgpRequest{AllowGracefulRestart: true}); err != nil {
		klog.FromContext(ctx).Error(err, "Cannot close the BGP sessions cleanly")
	}
}

// start starts a server of the library, without peers and routes.
func (s *Speaker) start(ctx context.Context, l Local) (*running, error) {
	logger := klog.FromContext(ctx).WithName("bgp").V(quiet)
	r := &running{
		BgpServer: server.NewBgpServer(server.LoggerOption(slog.New(logr.ToSlogHandler(logger)), nil)),
		peers:     map[netip.Addr]Peer{}, routes: map[netip.Prefix]bool{}, blocked: map[netip.Addr]time.Time{}, reasons: map[netip.Addr]string{},
	}
	go r.Serve()
	port := int32(l.ListenPort)
	if port == 0 {
		port = -1 // the library's value for none
	}
	err := r.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{Asn: l.ASN, RouterId: l.RouterID.String(), ListenPort: port}})
	if err == nil {
		err = r.importNothing(ctx)
	}
	if err == nil {
		var watch context.Context
		watch, r.cancel = context.WithCancel(context.WithoutCancel(ctx))
		err = r.WatchEvent(watch, server.WatchEventMessageCallbacks{OnPeerUpdate: func(e *apiutil.WatchEventMessage_PeerEvent, _ time.Time) {
			if e.Type != apiutil.PEER_EVENT_STATE {
				return
			}
			r.note(ctx, &e.Peer)
			s.options.Changed()
		}}, server.WatchPeer())
	}
	if err != nil {
		r.BgpServer.Stop()
		if r.cancel != nil {
			r.cancel()
		}
		if l.ListenPort != 0 {
			return nil, fmt.Errorf("start BGP: %w: if another program uses port %d, remove spec.base.bgp.listen-port", err, l.ListenPort)
		}
		return nil, fmt.Errorf("start BGP: %w", err)
	}
	return r, nil
}

// note records why a session ended.
func (r *running) note(ctx context.Context, p *apiutil.Peer) {
	address := p.State.NeighborAddress
	logger := klog.FromContext(ctx).WithValues("peer", address.String())
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case p.State.SessionState == bgp.BGP_FSM_ESTABLISHED:
		delete(r.reasons, address)
		logger.Info("The BGP session is established")
	case p.State.DisconnectReason != api.PeerState_DISCONNECT_REASON_UNSPECIFIED && p.State.DisconnectReason != api.PeerState_DISCONNECT_REASON_IDLE_TIMER_EXPIRED:
		reason := p.State.DisconnectMessage
		if r.reasons[address] != reason {
			logger.Info("The BGP session is down", "reason", reason)
		}
		r.reasons[address] = reason
	}
}

// importNothing makes the server use only its own routes. The library keeps routes from
// peers until their sessions end, which is why they are limited.
func (r *running) importNothing(ctx context.Context) error {
	own := &api.Policy{Name: "own-routes", Statements: []*api.Statement{{
		Name:       "own-routes",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT},
	}}}
	if err := r.AddPolicy(ctx, &api.AddPolicyRequest{Policy: own}); err != nil {
		return err
	}
	return r.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_POLICY_DIRECTION_IMPORT, Policies: []*api.Policy{own}, DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT,
	}})
}

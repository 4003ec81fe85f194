// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/node/announce/bfd"
	"github.com/acnodal/epic/pkg/node/announce/layer2"
	"github.com/acnodal/epic/pkg/node/announce/speaker"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/statefile"
)

const (
	// every is the interval of a full check: passwords, labels, and failed operations.
	every = 5 * time.Second
	// labelsEvery is the interval at which the node's labels are read.
	labelsEvery = 30 * time.Second
	// stopWithin limits the time to end the sessions.
	stopWithin = 2 * time.Second
)

// Delivered reports what this node delivers. *host.Host implements it.
type Delivered interface {
	Announced() host.Announcements
	AnnouncedChanged() <-chan struct{}
}

// Options configures an Announcer.
type Options struct {
	// Address and Name identify the node.
	Address netip.Addr
	Name    string
	// Labels returns the node's labels.
	Labels func(context.Context) (map[string]string, error)
	// Passwords returns the password with a name.
	Passwords func(name string) (string, error)
	Delivered Delivered
	// Restarting indicates that the kernel was delivering packets when this program
	// started.
	Restarting bool
	// Sessions stores BFD sessions for the next program.
	Sessions statefile.File
}

// Announcer announces what this node delivers.
type Announcer struct {
	options Options
	speaker *speaker.Speaker
	bfd     *bfd.Server
	layer2  *layer2.Server
	kick    chan struct{}
	// lost receives the peers that BFD has lost.
	lost chan lostPeer

	mu     sync.Mutex
	config Config
	labels map[string]string
	// labelsErr is the error of the last read of the labels.
	labelsErr error
	// begun indicates that Run has started.
	begun bool
	plan  Plan
	// err is the error of the parts of the plan that failed.
	err error
}

// lostPeer is a peer whose BFD session went down.
type lostPeer struct {
	address netip.Addr
	why     string
}

// New returns an announcer that announces nothing until Run.
func New(o Options) *Announcer {
	const queue = 64 // the maximum number of peers
	a := &Announcer{options: o, kick: make(chan struct{}, 1), lost: make(chan lostPeer, queue)}
	a.speaker = speaker.New(speaker.Options{Restarting: o.Restarting, Changed: a.touch})
	a.layer2 = layer2.NewServer(a.touch)
	a.bfd = bfd.NewServer(bfd.Options{Changed: a.touch, Lost: func(peer netip.Addr, why string) {
		select {
		case a.lost <- lostPeer{peer, why}:
		default: // the hold time ends the session
		}
	}})
	return a
}

func (a *Announcer) touch() {
	select {
	case a.kick <- struct{}{}:
	default:
	}
}

// Set sets the platform's configuration.
func (a *Announcer) Set(c Config) {
	a.mu.Lock()
	a.config = c
	a.mu.Unlock()
	a.touch()
}

// Run announces until the context ends. Call it when everything that this node delivers
// is known. When it returns, nothing is announced anymore, except that peers that agreed
// to it keep the routes for a while.
func (a *Announcer) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	if a.options.Labels != nil {
		read := make(chan struct{})
		wg.Go(func() { a.followLabels(ctx, sync.OnceFunc(func() { close(read) })) })
		// A peer that is added later is not informed that this is a restart.
		select {
		case <-read:
		case <-time.After(every):
		case <-ctx.Done():
		}
	}
	wg.Go(func() { a.layer2.Run(ctx) })
	a.resumeBFD(ctx)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ctx.Err() == nil {
		a.apply(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-a.kick:
		case <-a.options.Delivered.AnnouncedChanged():
		case peer := <-a.lost:
			if err := a.speaker.Reset(ctx, peer.address, peer.why); err != nil {
				klog.FromContext(ctx).V(2).Info("Cannot end the session with a peer that BFD lost", "peer", peer.address.String(), "err", err)
			}
		}
	}
	// Inform peers first that this is not a failure.
	a.stopBFD(ctx)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
	defer cancel()
	a.speaker.Stop(stop, true)
}

// apply updates the announcements.
func (a *Announcer) apply(ctx context.Context) {
	a.mu.Lock()
	config, node := a.config, Node{Address: a.options.Address, Name: a.options.Name, Labels: a.labels}
	before, failed, begun := a.plan, a.err != nil, a.begun
	a.mu.Unlock()
	plan := Make(config, node, a.options.Delivered.Announced(), a.options.Passwords)
	var err error
	if begun && !failed && reflect.DeepEqual(plan, before) {
		// States lets blocked peers retry, and an interface may have been replaced.
		a.speaker.States(ctx)
		if !plan.Layer2.Enabled {
			return
		}
		err = a.layer2.Apply(plan.Layer2)
	} else {
		err = errors.Join(a.speaker.Apply(ctx, plan.Speaker), a.bfd.Apply(ctx, plan.BFD), a.layer2.Apply(plan.Layer2))
	}
	if err != nil && !failed {
		klog.FromContext(ctx).Error(err, "Cannot announce everything, trying again")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.plan, a.err, a.begun = plan, err, true
}

// Labels returns the node's labels as last read.
func (a *Announcer) Labels() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.labels)
}

// SetLabels sets the labels that the node had before this program started.
func (a *Announcer) SetLabels(labels map[string]string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.labels = maps.Clone(labels)
}

// followLabels reads the node's labels until the context ends.
func (a *Announcer) followLabels(ctx context.Context, read func()) {
	for {
		pause := labelsEvery
		if err := a.readLabels(ctx); err != nil {
			klog.FromContext(ctx).V(2).Info("Cannot read the labels of this node", "err", err)
			pause = every
		}
		read()
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (a *Announcer) readLabels(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, every)
	defer cancel()
	labels, err := a.options.Labels(ctx)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.labelsErr = err
	if err == nil && !maps.Equal(a.labels, labels) {
		a.labels = labels
		a.touch()
	}
	return err
}

// usesLabels reports whether the configuration depends on the node's labels.
func usesLabels(c Config) bool {
	if c.Layer2 != nil && c.Layer2.NodeSelector != nil {
		return true
	}
	return c.BGP != nil && slices.ContainsFunc(c.BGP.Peers, hasSelector)
}

// Status returns what is announced, and to whom.
func (a *Announcer) Status(ctx context.Context) Status {
	states, sessions := a.speaker.States(ctx), a.bfd.States()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Status{Problems: slices.Clone(a.plan.Problems), Takeovers: a.layer2.Takeovers()}
	for _, l := range a.layer2.States() {
		s.Layer2 = append(s.Layer2, Layer2{Address: l.Address, Interface: l.Interface, Role: string(l.Role), Holder: holder(l.Holder)})
	}
	for _, p := range slices.Concat(states, a.plan.Unready) {
		session, has := sessions[p.Address]
		s.Peers = append(s.Peers, Peer{HasBFD: has, BFDUp: session == bfd.Up, Name: p.Name, Address: p.Address, Up: p.Established, Local: p.Local, Since: p.Since, Refused: p.Refused, Message: p.Message})
	}
	slices.SortFunc(s.Peers, Peer.compare)
	if len(a.plan.Speaker.Peers) > 0 {
		s.Routes = slices.Clone(a.plan.Speaker.Routes)
	}
	if a.err != nil {
		s.Problems = append(s.Problems, a.err.Error())
	}
	if a.labelsErr != nil && usesLabels(a.config) {
		s.Problems = append(s.Problems, fmt.Sprintf("can't read the labels of this node, which select its BGP peers: %v", a.labelsErr))
	}
	return s
}

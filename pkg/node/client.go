// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/follow"
	"github.com/acnodal/epic/pkg/node/keys"
	"github.com/acnodal/epic/pkg/node/silence"
	"github.com/acnodal/epic/pkg/node/statefile"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/pkg/node/underlay"
)

// RunClient runs the node program on a client node until the context ends.
func RunClient(ctx context.Context, c ClientConfig) error {
	a, err := newClient(ctx, c)
	if err != nil {
		return err
	}
	return a.run(ctx, Part{"quiet tunnels", func(ctx context.Context) error {
		if ends, ok := a.control.(clientEnds); ok {
			silence.HurryQuiet(ctx, c.Plane.Tunnels(), ends.Initiator)
		}
		return nil
	}})
}

func newClient(ctx context.Context, c ClientConfig) (*agent, error) {
	a := &agent{Config: c.Config, role: roleClient, started: time.Now(), known: make(chan struct{}), settled: make(chan struct{})}
	a.extra = func() []string {
		if c.Forwarding == nil {
			return nil
		}
		return c.Forwarding(podFamilies(a.applier))
	}
	a.listProxies = func() []status.Proxy { return nil }
	if c.Ports != nil {
		a.repairOwn = c.Ports.Repair
	}
	complete := make(chan struct{})
	close(complete)
	a.complete = complete

	store := sequenceFile{statefile.File{Path: filepath.Join(c.StateDir, "sequence"), Version: stateVersion}}
	sequence, err := gue.NewSequence(store, time.Now, func(err error) {
		klog.FromContext(ctx).Error(err, "Tunnels may open slowly after a restart")
	})
	if err != nil {
		// The clock alone is sufficient unless it was set back in the meantime.
		klog.FromContext(ctx).Error(err, "Control message numbers start at the current time")
		if sequence, err = gue.NewSequence(emptyStore{store}, time.Now, nil); err != nil {
			return nil, err
		}
	}
	a.underlay = underlay.New(underlay.Options{
		Kernel: c.Kernel, Plane: c.Plane.Underlay(), Nodes: c.Nodes, Names: c.Interfaces, Local: c.Local,
		Changed: func() { a.applier.Replan() },
	})
	var former *formerCookies
	a.saver = newSaver(c.StateDir, func() state {
		return state{Role: a.role, Nodes: a.Nodes, Objects: gatherObjects(a.applier), Cookies: former.gather(a.control)}
	})
	if err := a.load(ctx); err != nil {
		return nil, err
	}
	former = cookiesBefore(c.Plane.Tunnels(), a.loaded.savedCookies())
	a.control = clientEnds{ports: c.Ports, cookies: former, Initiator: gue.NewInitiator(gue.InitiatorOptions{
		Sequence: sequence.Next, Interval: c.PingInterval, Cookies: c.Cookies, Mark: a.mark,
		Unanswered: func(tunnel uint32) { a.fetcher.Suspect(tunnel) },
	})}
	a.applier = apply.New(c.Plane, a.control, apply.ForClient(a.underlay.Local, c.Port))
	a.fetcher = keys.New(c.Client, keyTarget{a})
	if a.follower, err = follow.New(follow.Options{Client: c.Client, Nodes: c.Nodes, Namespace: c.Namespace, Cluster: c.Cluster, Sink: sink{a}}); err != nil {
		return nil, err
	}
	return a, nil
}

// emptyStore starts at zero and replaces an unreadable file.
type emptyStore struct{ sequenceFile }

// Load implements gue.SequenceStore.
func (emptyStore) Load() (uint64, error) { return 0, nil }

// podFamilies returns the families of the endpoints to which this node has to forward
// packets: those whose addresses are not its own.
func podFamilies(a *apply.Applier) (four, six bool) {
	own := map[netip.Addr]bool{}
	addresses, err := net.InterfaceAddrs()
	if err == nil {
		for _, address := range addresses {
			if prefix, err := netip.ParsePrefix(address.String()); err == nil {
				own[prefix.Addr().Unmap()] = true
			}
		}
	}
	a.Each(func(s apply.State) {
		for i := range s.Plan.Services {
			endpoint := s.Plan.Services[i].Endpoint.Addr().Unmap()
			if !own[endpoint] {
				four, six = four || endpoint.Is4(), six || endpoint.Is6()
			}
		}
	})
	return four, six
}

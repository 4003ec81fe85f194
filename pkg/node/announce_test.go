// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/status"
)

// delivered is what a host delivers that gets what the gateway applies: the addresses that do not
// wait and of which a proxy is ready.
type delivered struct {
	mu      sync.Mutex
	now     host.Announcements
	changed chan struct{}
}

func (d *delivered) apply(desired host.Desired) {
	var now host.Announcements
	for _, a := range desired.Addresses {
		if !a.Waits && slices.ContainsFunc(a.Ends, func(e host.End) bool { return !e.Standby }) && !slices.Contains(now.Routes, a.Announce) {
			now.Routes, now.Addresses = append(now.Routes, a.Announce), append(now.Addresses, a.Address)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.now.Equal(now) {
		d.now = now
		select {
		case d.changed <- struct{}{}:
		default:
		}
	}
}

// Announced implements announce.Delivered.
func (d *delivered) Announced() host.Announcements {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// AnnouncedChanged implements announce.Delivered.
func (d *delivered) AnnouncedChanged() <-chan struct{} { return d.changed }

// announces has the rig's program announce to a peer that never answers.
func (r *rig) announces() {
	r.t.Helper()
	d := &delivered{changed: make(chan struct{}, 1)}
	r.network.applied = d.apply
	r.config.Announcer = announce.New(announce.Options{Address: netip.MustParseAddr(epicAddress), Name: r.config.Name, Delivered: d})
	api := r.client.EpicV1().EPICs(epic.ConfigNamespace)
	o, err := api.Get(r.t.Context(), epic.ConfigName, metav1.GetOptions{})
	r.must(o, err)
	o.Spec.Base.BGP = &epicv1.BGP{ASN: 64512, Peers: []epicv1.BGPPeer{{Name: "tor", Address: "192.0.2.1", ASN: 64513}}}
	r.must(api.Update(r.t.Context(), o, metav1.UpdateOptions{}))
}

// announced waits until the program reports what it announces, and its peer.
func (r *rig) announced(what string, want ...netip.Prefix) {
	r.t.Helper()
	r.until(what, func() error {
		report, err := status.NewClient(r.config.StatusSocket).Report(r.t.Context())
		if err != nil {
			return err
		}
		now := report.Announcements
		if len(now.Peers) != 1 || now.Peers[0].Name != "tor" || !slices.Equal(now.Routes, want) {
			return fmt.Errorf("announced are %v to %v, want %v", now.Routes, now.Peers, want)
		}
		return nil
	})
}

// ends waits until the host's network has the ends of one address as they are wanted: by
// their interfaces, whether they are on standby and whether they served.
func (r *rig) ends(want map[int][2]bool) {
	r.t.Helper()
	r.until("the ends of the address", func() error {
		got := map[int][2]bool{}
		for _, a := range r.network.get().Addresses {
			for _, e := range a.Ends {
				got[e.Index] = [2]bool{e.Standby, e.Served}
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// An address is announced as soon as one of its proxies is ready, and no longer when none is,
// though all of them are still there and end only later.
func TestAnnouncedWhileAProxyIsReady(t *testing.T) {
	r := newRig(t)
	lb := r.balancer("web")
	r.announces()
	pod := func(name string, index int, standby, served bool) proxies.Interface {
		p := r.pod(lb, name, index)
		p.Standby, p.Served = standby, served
		return p
	}
	route := netip.MustParsePrefix(lb.Spec.PublicAddress + "/32")
	r.pods.list = []proxies.Interface{pod("web-1", 7, true, false)}
	r.run()
	r.announced("a proxy that starts")
	r.ends(map[int][2]bool{7: {true, false}})
	for _, c := range []struct {
		what       string
		pods       []proxies.Interface
		ends       map[int][2]bool
		announcing bool
	}{
		{"a proxy that is ready", []proxies.Interface{pod("web-1", 7, false, true)}, map[int][2]bool{7: {false, true}}, true},
		{"a second that starts", []proxies.Interface{pod("web-1", 7, false, true), pod("web-2", 8, true, false)}, map[int][2]bool{7: {false, true}, 8: {true, false}}, true},
		{"the first ends", []proxies.Interface{pod("web-1", 7, true, true), pod("web-2", 8, false, true)}, map[int][2]bool{7: {true, true}, 8: {false, true}}, true},
		{"both end", []proxies.Interface{pod("web-1", 7, true, true), pod("web-2", 8, true, true)}, map[int][2]bool{7: {true, true}, 8: {true, true}}, false},
		{"the second is ready again", []proxies.Interface{pod("web-2", 8, false, true)}, map[int][2]bool{8: {false, true}}, true},
		{"none is left", nil, map[int][2]bool{}, false},
	} {
		r.pods.set(c.pods...)
		r.ends(c.ends)
		if c.announcing {
			r.announced(c.what, route)
		} else {
			r.announced(c.what)
		}
	}
}

// Nothing is announced before all objects are known: a peer that keeps routes over a restart
// drops those that it is not told of again.
func TestAnnouncedOnceAllIsKnown(t *testing.T) {
	r := newRig(t)
	lb := r.balancer("web")
	r.announces()
	r.pods.list = []proxies.Interface{r.pod(lb, "web-1", 7)}
	var let func()
	r.config.Client, let = r.slowly("loadbalancers")
	r.run()
	r.until("it knows the peer", func() error {
		o, err := r.client.EpicV1().GatewayNodes(epic.ConfigNamespace).Get(t.Context(), epicAddress, metav1.GetOptions{})
		if err == nil && o.Status.HeartbeatTime.IsZero() {
			err = errors.New("no heartbeat")
		}
		return err
	})
	report, err := status.NewClient(r.config.StatusSocket).Report(t.Context())
	r.must(nil, err)
	if now := report.Announcements; len(now.Peers) > 0 || len(now.Routes) > 0 {
		t.Errorf("it announces %v to %v", now.Routes, now.Peers)
	}
	let()
	r.announced("all of it", netip.MustParsePrefix(lb.Spec.PublicAddress+"/32"))
}

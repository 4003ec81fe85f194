// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"net/netip"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/status"
)

func (r *rig) direct(name, address string) {
	r.t.Helper()
	r.must(r.client.EpicV1().RemoteEndpoints(account).Create(r.t.Context(), &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningLoadBalancerLabel: "web"}},
		Spec:       epicv1.RemoteEndpointSpec{Cluster: "c", Address: address, Port: epicv1.EndpointPort{Port: 9000}},
	}, metav1.CreateOptions{}))
}

// A gateway opens the way to an endpoint without a node, in the data plane and in the
// firewall, and lists it; not to its own address, which another server may have let in. Both
// are closed when the endpoint is removed.
func TestDirectEndpoints(t *testing.T) {
	r := newRig(t)
	lb := r.balancer("web")
	r.run()
	r.pods.set(r.pod(lb, "web-1", 7))
	r.hasInterfaces("web", map[string]int32{"web-1": 7})
	r.tunnel("web")
	r.direct("outside", "203.0.113.50")
	r.direct("itself", epicAddress)
	r.until("the direct endpoint", func() error {
		directs, err := r.plane.Directs().List()
		if err == nil && (len(directs) != 1 || directs[0].Interface != 7 || directs[0].Endpoint != netip.MustParseAddrPort("203.0.113.50:9000") || directs[0].Protocol != 6) {
			err = fmt.Errorf("%+v", directs)
		}
		d := r.network.get()
		if err == nil && (len(d.Directs) != 1 || d.Directs[0].Proxy.String() != lb.Spec.PublicAddress || d.Directs[0].Endpoint != netip.MustParseAddrPort("203.0.113.50:9000")) {
			err = fmt.Errorf("the firewall: %+v", d.Directs)
		}
		return err
	})
	r.until("the report", func() error {
		report, err := status.NewClient(r.config.StatusSocket).Report(t.Context())
		if err != nil {
			return err
		}
		states := map[netip.Addr]string{}
		for _, d := range report.Directs {
			states[d.Endpoint.Addr()] = d.State
		}
		if len(states) != 2 || states[netip.MustParseAddr("203.0.113.50")] != status.Open || states[netip.MustParseAddr(epicAddress)] != "closed: it is an address of this node" {
			return fmt.Errorf("%+v", report.Directs)
		}
		return nil
	})
	if err := r.client.EpicV1().RemoteEndpoints(account).Delete(t.Context(), "outside", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	r.until("it is closed", func() error {
		directs, err := r.plane.Directs().List()
		if left := len(directs) + len(r.network.get().Directs); err == nil && left > 0 {
			err = fmt.Errorf("%d are left", left)
		}
		return err
	})
}

// What the API server refuses as a public address, a node does not open either, however the
// pool is written.
func TestGuard(t *testing.T) {
	var g guard
	for _, address := range []string{"127.0.0.1", "::1", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "::ffff:127.0.0.1"} {
		if _, denied := g.check(netip.MustParseAddr(address)); !denied {
			t.Errorf("%s is open before anything is known", address)
		}
	}
	g.set([]netip.Addr{netip.MustParseAddr("192.0.2.1")}, map[string]pools{
		"a": {Public: &pool{Pool: "198.51.100.5-198.51.100.9"}, Alternate: &pool{Pool: "2001:db8:5::/64"}},
		"b": {Public: &pool{Pool: "nonsense"}},
	})
	for address, want := range map[string]bool{
		"127.0.0.1": true, "192.0.2.1": true, "198.51.100.5": true, "198.51.100.9": true, "2001:db8:5::7": true, "64:ff9b::c000:201": true,
		"192.0.2.2": false, "198.51.100.4": false, "198.51.100.10": false, "2001:db8:6::7": false,
	} {
		if _, denied := g.check(netip.MustParseAddr(address)); denied != want {
			t.Errorf("%s: denied %t, want %t", address, denied, want)
		}
	}
}

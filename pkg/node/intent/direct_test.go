// SPDX-License-Identifier: Apache-2.0

package intent

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func remote(name, address string, port int32, node string) *epicv1.RemoteEndpoint {
	return &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningLoadBalancerLabel: "web"}},
		Spec: epicv1.RemoteEndpointSpec{
			Cluster: "c", Address: address, NodeAddress: node, Port: epicv1.EndpointPort{Port: port, Protocol: corev1.ProtocolTCP},
		},
	}
}

func show(i *Intent) string {
	text := ""
	for _, e := range i.Endpoints {
		text += fmt.Sprintf("tunnel %s, ", e.Address)
	}
	for _, d := range i.Direct {
		text += fmt.Sprintf("direct %s, ", d.Address)
	}
	for _, s := range i.Shut {
		text += fmt.Sprintf("shut %s (%s), ", s.Address, s.Reason)
	}
	return text
}

// An endpoint without a node is reached directly; one that names a node, readable or not,
// whether its tunnel is here or not, never is, and neither is another port of its address.
func TestDirect(t *testing.T) {
	const node, away = "192.168.1.16", "192.168.1.17"
	tunnels := []Tunnel{{ID: 1, TenantNode: netip.MustParseAddr(node)}}
	for name, c := range map[string]struct {
		off  bool
		reps []*epicv1.RemoteEndpoint
		want string
	}{
		"none": {},
		"direct": {
			reps: []*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, ""), remote("b", "2001:db8::9", 80, "")},
			want: "direct 203.0.113.9:80, direct [2001:db8::9]:80, ",
		},
		"in a tunnel":                  {reps: []*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, node)}, want: "tunnel 203.0.113.9:80, "},
		"in a tunnel that is not here": {reps: []*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, away)}},
		"at a node that can't be read": {
			reps: []*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, "worker")},
			want: "shut 203.0.113.9:80 (" + string(NodeUnreadable) + "), ",
		},
		"said to be both": {
			reps: []*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, ""), remote("b", "203.0.113.9", 80, away)},
		},
		"said to be both, one of which can't be read": {
			reps: []*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, "worker"), remote("b", "203.0.113.9", 80, "")},
			want: "shut 203.0.113.9:80 (" + string(NodeUnreadable) + "), ",
		},
		"beside one in a tunnel": {
			reps: []*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 81, ""), remote("b", "203.0.113.9", 80, away)},
			want: "shut 203.0.113.9:81 (" + string(AddressInTunnel) + "), ",
		},
		"all, without tunnels": {
			off:  true,
			reps: []*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, node), remote("b", "203.0.113.9", 81, "")},
			want: "direct 203.0.113.9:80, direct 203.0.113.9:81, ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			lb := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: epicv1.LoadBalancerSpec{UpstreamClusters: []string{"c"}}}
			if c.off {
				lb.Spec.TrueIngress = ptr.To(false)
			}
			if got := show(OfLoadBalancer(lb, tunnels, c.reps)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// An endpoint that had a tunnel never becomes a direct one while its object has it.
func TestAfter(t *testing.T) {
	lb := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: epicv1.LoadBalancerSpec{UpstreamClusters: []string{"c"}}}
	tunnels := []Tunnel{{ID: 1, TenantNode: netip.MustParseAddr("192.168.1.16")}}
	i := OfLoadBalancer(lb, tunnels, nil)
	for n, c := range []struct {
		reps []*epicv1.RemoteEndpoint
		want string
	}{
		{[]*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, "192.168.1.16")}, "tunnel 203.0.113.9:80, "},
		{[]*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, "")}, "shut 203.0.113.9:80 (" + string(HadTunnel) + "), "},
		{
			[]*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, ""), remote("b", "203.0.113.8", 80, "")},
			"direct 203.0.113.8:80, shut 203.0.113.9:80 (" + string(HadTunnel) + "), ",
		},
		{nil, ""},
		{[]*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, "")}, "direct 203.0.113.9:80, "},
	} {
		before := i
		i = OfLoadBalancer(lb, tunnels, c.reps).After(before, time.Unix(1, 0))
		if got := show(i); got != c.want {
			t.Errorf("step %d: got %q, want %q", n, got, c.want)
		}
		if !i.Equal(OfLoadBalancer(lb, tunnels, slices.Clone(c.reps)).After(i, time.Unix(1, 0))) {
			t.Errorf("step %d: the same again is another", n)
		}
	}
}

// An object whose endpoints have all their tunnels here is told apart from one that waits for some.
func TestUntunneled(t *testing.T) {
	const here, away, here6 = "192.168.1.16", "192.168.1.17", "2001:db8:1::16"
	tunnels := []Tunnel{{ID: 1, TenantNode: netip.MustParseAddr(here)}, {ID: 2, TenantNode: netip.MustParseAddr(here6)}}
	lb := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: epicv1.LoadBalancerSpec{UpstreamClusters: []string{"c"}}}
	for name, c := range map[string]struct {
		reps []*epicv1.RemoteEndpoint
		want bool
	}{
		"no endpoints":          {nil, false},
		"with tunnels":          {[]*epicv1.RemoteEndpoint{remote("a", "10.0.0.1", 80, here), remote("b", "2001:db8:2::1", 80, here6)}, false},
		"one without":           {[]*epicv1.RemoteEndpoint{remote("a", "10.0.0.1", 80, here), remote("b", "10.0.0.2", 80, away)}, true},
		"none has one":          {[]*epicv1.RemoteEndpoint{remote("b", "10.0.0.2", 80, away)}, true},
		"reached directly":      {[]*epicv1.RemoteEndpoint{remote("a", "203.0.113.9", 80, "")}, false},
		"at an unreadable node": {[]*epicv1.RemoteEndpoint{remote("a", "10.0.0.1", 80, "node")}, false},
	} {
		i := OfLoadBalancer(lb, tunnels, c.reps)
		if i.Untunneled != c.want {
			t.Errorf("%s: %t", name, i.Untunneled)
		}
		other := *i
		other.Untunneled = !i.Untunneled
		if i.Equal(&other) {
			t.Errorf("%s: it equals one whose tunnels are missing", name)
		}
	}
}

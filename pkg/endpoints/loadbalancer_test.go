// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const ns = "epic-one"

// show is one word for an endpoint: address, protocol, and node.
func show(es []Endpoint) string {
	var words []string
	for _, e := range es {
		node := "-"
		if e.Node.IsValid() {
			node = e.Node.String()
		}
		words = append(words, fmt.Sprintf("%s/%d@%s", e.Address, e.Protocol, node))
	}
	return strings.Join(words, " ")
}

// showProblems is one word for a problem: reason, object, count.
func showProblems(ps []Problem) string {
	var words []string
	for _, p := range ps {
		words = append(words, fmt.Sprintf("%s(%s)x%d", p.Reason, p.Object, p.Count))
	}
	return strings.Join(words, " ")
}

func balancer() *epicv1.LoadBalancer {
	return &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web"},
		Spec:       epicv1.LoadBalancerSpec{UpstreamClusters: []string{"c"}},
	}
}

func remote(name, address string, port int32, node string) *epicv1.RemoteEndpoint {
	return &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{epic.OwningLoadBalancerLabel: "web"}},
		Spec:       epicv1.RemoteEndpointSpec{Cluster: "c", Address: address, NodeAddress: node, Port: epicv1.EndpointPort{Port: port, Protocol: corev1.ProtocolTCP}},
	}
}

func TestOfLoadBalancer(t *testing.T) {
	with := func(rep *epicv1.RemoteEndpoint, change func(*epicv1.RemoteEndpoint)) *epicv1.RemoteEndpoint {
		change(rep)
		return rep
	}
	for name, c := range map[string]struct {
		lb             func(*epicv1.LoadBalancer)
		reps           []*epicv1.RemoteEndpoint
		want, problems string
	}{
		"none": {},
		"several pods on one node, in order": {
			reps: []*epicv1.RemoteEndpoint{remote("b", "10.0.0.10", 80, "192.168.1.16"), remote("a", "10.0.0.9", 8080, "192.168.1.16")},
			want: "10.0.0.9:8080/6@192.168.1.16 10.0.0.10:80/6@192.168.1.16",
		},
		"UDP, IPv6, and TCP for none": {
			reps: []*epicv1.RemoteEndpoint{
				with(remote("a", "2001:db8::9", 53, "2001:db8::1"), func(r *epicv1.RemoteEndpoint) { r.Spec.Port.Protocol = corev1.ProtocolUDP }),
				with(remote("b", "2001:db8::9", 53, "2001:db8::1"), func(r *epicv1.RemoteEndpoint) { r.Spec.Port.Protocol = "" }),
			},
			want: "[2001:db8::9]:53/6@2001:db8::1 [2001:db8::9]:53/17@2001:db8::1",
		},
		"others' are passed over": {
			reps: []*epicv1.RemoteEndpoint{
				nil,
				with(remote("a", "10.0.0.1", 80, "192.168.1.16"), func(r *epicv1.RemoteEndpoint) { r.Namespace = "epic-two" }),
				with(remote("b", "10.0.0.2", 80, "192.168.1.16"), func(r *epicv1.RemoteEndpoint) { r.Labels = nil }),
				with(remote("c", "10.0.0.3", 80, "192.168.1.16"), func(r *epicv1.RemoteEndpoint) { r.DeletionTimestamp = ptr.To(metav1.Now()) }),
			},
		},
		"a cluster that is not listed": {
			reps:     []*epicv1.RemoteEndpoint{with(remote("a", "10.0.0.1", 80, "192.168.1.16"), func(r *epicv1.RemoteEndpoint) { r.Spec.Cluster = "d" })},
			problems: "ClusterNotListed(RemoteEndpoint a)x1",
		},
		"no node": {
			reps:     []*epicv1.RemoteEndpoint{remote("a", "10.0.0.1", 80, ""), remote("b", "10.0.0.2", 80, "node-1")},
			want:     "10.0.0.1:80/6@- 10.0.0.2:80/6@-",
			problems: "EndpointWithoutNode(RemoteEndpoint a)x1 EndpointWithoutNode(RemoteEndpoint b)x1",
		},
		"no tunnels wanted": {
			lb:   func(lb *epicv1.LoadBalancer) { lb.Spec.TrueIngress = ptr.To(false) },
			reps: []*epicv1.RemoteEndpoint{remote("a", "10.0.0.1", 80, "192.168.1.16"), remote("b", "10.0.0.2", 80, "")},
			want: "10.0.0.1:80/6@- 10.0.0.2:80/6@-",
		},
		"the same address in two clusters": {
			lb: func(lb *epicv1.LoadBalancer) { lb.Spec.UpstreamClusters = []string{"c", "d"} },
			reps: []*epicv1.RemoteEndpoint{
				remote("a", "10.0.0.1", 80, "192.168.1.17"),
				with(remote("b", "10.0.0.1", 80, "192.168.1.9"), func(r *epicv1.RemoteEndpoint) { r.Spec.Cluster = "d" }),
				with(remote("c", "10.0.0.2", 80, ""), func(r *epicv1.RemoteEndpoint) { r.Spec.Cluster = "c" }),
				with(remote("d", "10.0.0.2", 80, "192.168.1.9"), func(r *epicv1.RemoteEndpoint) { r.Spec.Cluster = "d" }),
			},
			want:     "10.0.0.1:80/6@192.168.1.9 10.0.0.2:80/6@192.168.1.9",
			problems: "AddressOnSeveralNodes(RemoteEndpoint b)x1 EndpointWithoutNode(RemoteEndpoint c)x1",
		},
		"what is no address, port or protocol": {
			reps: []*epicv1.RemoteEndpoint{
				remote("a", "", 80, "192.168.1.16"), remote("b", "web.example.com", 80, "192.168.1.16"), remote("c", "127.0.0.1", 80, "192.168.1.16"),
				remote("d", "fe80::1", 80, "192.168.1.16"), remote("e", "fd00::1%eth0", 80, "192.168.1.16"), remote("f", "224.0.0.1", 80, "192.168.1.16"),
				remote("g", "10.0.0.1", 0, "192.168.1.16"), remote("h", "10.0.0.1", 65616, "192.168.1.16"),
				with(remote("i", "10.0.0.1", 80, "192.168.1.16"), func(r *epicv1.RemoteEndpoint) { r.Spec.Port.Protocol = "SCTP" }),
			},
			problems: "AddressUnusable(RemoteEndpoint a)x1 AddressUnusable(RemoteEndpoint b)x1 AddressUnusable(RemoteEndpoint c)x1 " +
				"AddressUnusable(RemoteEndpoint d)x1 AddressUnusable(RemoteEndpoint e)x1 AddressUnusable(RemoteEndpoint f)x1 " +
				"PortUnusable(RemoteEndpoint g)x1 PortUnusable(RemoteEndpoint h)x1 PortUnusable(RemoteEndpoint i)x1",
		},
		"addresses are brought into one form": {
			reps: []*epicv1.RemoteEndpoint{remote("a", "::ffff:10.0.0.1", 80, "::ffff:192.168.1.16"), remote("b", "2001:DB8:0::1", 80, "2001:DB8::2")},
			want: "10.0.0.1:80/6@192.168.1.16 [2001:db8::1]:80/6@2001:db8::2",
		},
		"nodes that are nowhere": {
			reps:     []*epicv1.RemoteEndpoint{remote("a", "10.0.0.1", 80, "0.0.0.0"), remote("b", "10.0.0.2", 80, "fe80::1%eth0"), remote("c", "10.0.0.3", 80, "ff02::1")},
			want:     "10.0.0.1:80/6@- 10.0.0.2:80/6@- 10.0.0.3:80/6@-",
			problems: "EndpointWithoutNode(RemoteEndpoint a)x1 EndpointWithoutNode(RemoteEndpoint b)x1 EndpointWithoutNode(RemoteEndpoint c)x1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			lb := balancer()
			if c.lb != nil {
				c.lb(lb)
			}
			// The order of the input decides nothing.
			for range 2 {
				es, ps := OfLoadBalancer(lb, c.reps)
				if diff := cmp.Diff(c.want, show(es)); diff != "" {
					t.Errorf("endpoints (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.problems, showProblems(ps)); diff != "" {
					t.Errorf("problems (-want +got):\n%s", diff)
				}
				slices.Reverse(c.reps)
			}
		})
	}
}

// An endpoint is direct only if nothing indicates that it is on a node.
func TestDirect(t *testing.T) {
	for name, c := range map[string]struct {
		nodes []string
		want  bool
	}{
		"no node": {[]string{""}, true}, "a node": {[]string{"192.168.1.16"}, false}, "a node that can't be read": {[]string{"node-1"}, false},
		"an unspecified node": {[]string{"0.0.0.0"}, false}, "none, then a node": {[]string{"", "192.168.1.16"}, false},
		"none, then one that can't be read": {[]string{"", "node-1"}, false}, "one that can't be read, then none": {[]string{"node-1", ""}, false},
		"one that can't be read, then a node": {[]string{"node-1", "192.168.1.16"}, false}, "none twice": {[]string{"", ""}, true},
	} {
		var reps []*epicv1.RemoteEndpoint
		for n, node := range c.nodes {
			reps = append(reps, remote(fmt.Sprint("e", n), "10.0.0.1", 80, node))
		}
		got, _ := OfLoadBalancer(balancer(), reps)
		if len(got) != 1 || got[0].Direct() != c.want || got[0].Node.IsValid() && got[0].Unreadable {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// The same holds for the endpoints of a slice: a node without an address is none.
func TestDirectOfSlice(t *testing.T) {
	for name, c := range map[string]struct {
		node      *string
		addresses map[string]string
		want      bool
	}{
		"no node": {nil, nil, true}, "a node without an address": {ptr.To("worker"), map[string]string{"other": "192.168.1.16"}, true},
		"a node":                    {ptr.To("worker"), map[string]string{"worker": "192.168.1.16"}, false},
		"a node that can't be read": {ptr.To("worker"), map[string]string{"worker": "somewhere"}, false},
	} {
		got, _ := OfGWEndpointSlice(&epicv1.GWEndpointSlice{Spec: epicv1.GWEndpointSliceSpec{
			NodeAddresses: c.addresses, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: c.node}},
		}})
		if len(got) != 1 || got[0].Direct() != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestNodes(t *testing.T) {
	es, _ := OfLoadBalancer(balancer(), []*epicv1.RemoteEndpoint{
		remote("a", "10.0.0.1", 80, "192.168.1.16"), remote("b", "10.0.0.2", 80, "192.168.1.9"),
		remote("c", "10.0.0.3", 80, "192.168.1.16"), remote("d", "10.0.0.4", 80, ""),
	})
	if got := fmt.Sprint(Nodes(es)); got != "[192.168.1.9 192.168.1.16]" {
		t.Errorf("nodes %s", got)
	}
}

func TestProblemText(t *testing.T) {
	_, ps := OfLoadBalancer(balancer(), []*epicv1.RemoteEndpoint{remote("a", "10.0.0.1", 80, "")})
	want := `RemoteEndpoint a: its node-address is "", so it gets no tunnel: set it to the address of the endpoint's node`
	if got := ps[0].String(); got != want {
		t.Errorf("got %s", got)
	}
	ps[0].Count = 3
	if got := ps[0].String(); got != want+" (and 2 more)" {
		t.Errorf("got %s", got)
	}
}

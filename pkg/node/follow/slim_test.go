// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/intent"
)

// Endpoints keep their addresses, nodes and conditions, and nothing else.
func TestSlimEndpoints(t *testing.T) {
	spec := epicv1.GWEndpointSliceSpec{NodeAddresses: map[string]string{"node0": "192.0.2.1", "node1": "192.0.2.2", "unused": "192.0.2.9"}}
	var want []discoveryv1.Endpoint
	for i := range 20 {
		e := discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.0.%d", i)}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(i%2 == 0)}}
		switch i % 4 {
		case 0:
			e.NodeName = ptr.To(fmt.Sprintf("node%d", i%2))
		case 1:
			e.NodeName = ptr.To("elsewhere")
		case 2:
			e.Addresses = append(e.Addresses, "2001:db8::1")
		}
		want = append(want, *e.DeepCopy())
		e.Hostname, e.Zone, e.DeprecatedTopology = ptr.To("host"), ptr.To("zone"), map[string]string{"a": "b"}
		spec.Endpoints = append(spec.Endpoints, e)
	}
	addresses := map[string]string{"node0": "192.0.2.1", "node1": "192.0.2.2", "unused": "192.0.2.9"}
	slimEndpoints(&spec)
	if !reflect.DeepEqual(spec.Endpoints, want) {
		t.Errorf("%+v, want %+v", spec.Endpoints, want)
	}
	if !reflect.DeepEqual(spec.NodeAddresses, addresses) {
		t.Errorf("%v, want %v", spec.NodeAddresses, addresses)
	}
}

// A node of one client cluster has no tunnel of objects through which only other clusters
// publish, even if one of their nodes has its address.
func TestSlimOtherClusters(t *testing.T) {
	node := netip.MustParseAddr("10.0.0.2")
	status := epicv1.ProxyStatus{GUETunnelEndpoints: map[string]epicv1.TunnelEndpoint{
		node.String(): {EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{"192.0.2.1": {
			EPICAddress: "192.0.2.1", TunnelID: 2, EPICPort: epicv1.EndpointPort{Port: 6080, Protocol: corev1.ProtocolUDP},
		}}},
	}}
	lb := func(clusters ...string) any {
		return &epicv1.LoadBalancer{Spec: epicv1.LoadBalancerSpec{UpstreamClusters: clusters}, Status: *status.DeepCopy()}
	}
	proxy := func(cluster string) any {
		o := &epicv1.GWProxy{Status: *status.DeepCopy()}
		if cluster != "" {
			o.Labels = map[string]string{epic.OwningClusterLabel: cluster}
		}
		return o
	}
	for name, test := range map[string]struct {
		cluster string
		object  any
		want    int
	}{
		"listed":              {"paris", lb("rome", "paris"), 1},
		"not listed":          {"paris", lb("rome"), 0},
		"of no cluster":       {"", lb("rome"), 1},
		"own proxy":           {"paris", proxy("paris"), 1},
		"another's proxy":     {"paris", proxy("rome"), 0},
		"proxy made by hand":  {"paris", proxy(""), 1},
		"proxy, no cluster":   {"", proxy("rome"), 1},
		"listed, but deleted": {"paris", lb(), 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := &Follower{o: Options{Cluster: test.cluster}, here: intent.AtTenantNode(node)}
			slim, err := f.slim(test.object)
			if err != nil {
				t.Fatal(err)
			}
			got := -1
			switch o := slim.(type) {
			case *loadBalancer:
				got = len(o.tunnels)
			case *gwProxy:
				got = len(o.tunnels)
			}
			if got != test.want {
				t.Errorf("it has %d tunnels, want %d", got, test.want)
			}
		})
	}
}

// Of what the operator reports, a node keeps the UDP ports.
func TestSlimEnvoy(t *testing.T) {
	f := &Follower{here: func(netip.Addr, netip.Addr) bool { return true }}
	quic := epicv1.EnvoyListenerStatus{Name: "udp/443", Port: 443, Protocol: corev1.ProtocolUDP}
	for _, c := range []struct{ reported, kept []epicv1.EnvoyListenerStatus }{
		{[]epicv1.EnvoyListenerStatus{{Name: "tcp/443", Port: 443, Protocol: corev1.ProtocolTCP}, quic}, []epicv1.EnvoyListenerStatus{quic}},
		{[]epicv1.EnvoyListenerStatus{{Name: "tcp/443", Port: 443, Protocol: corev1.ProtocolTCP}}, nil},
	} {
		kept, err := f.slim(&epicv1.GWProxy{Status: epicv1.ProxyStatus{Envoy: &epicv1.EnvoyStatus{Image: "image", Listeners: c.reported}}})
		if err != nil {
			t.Fatal(err)
		}
		var want *epicv1.EnvoyStatus
		if c.kept != nil {
			want = &epicv1.EnvoyStatus{Listeners: c.kept}
		}
		if got := kept.(*gwProxy).Status.Envoy; !reflect.DeepEqual(got, want) {
			t.Errorf("kept %+v, want %+v", got, want)
		}
	}
}

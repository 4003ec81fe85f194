// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

// tunnelsOf is a status with the tunnels client node 10.0.0.C to gateway node
// 192.0.2.G, whose ID is 10*C+G, and a proxy on each of the gateway nodes.
func tunnelsOf(pairs ...string) epicv1.ProxyStatus {
	status := epicv1.ProxyStatus{GUETunnelEndpoints: map[string]epicv1.TunnelEndpoint{}, ProxyIfInfo: map[string]epicv1.ProxyInterfaceInfo{}}
	for _, p := range pairs {
		client, gateway := "10.0.0."+p[:1], "192.0.2."+p[1:]
		entry := status.GUETunnelEndpoints[client]
		if entry.EPICEndpoints == nil {
			entry.EPICEndpoints = map[string]epicv1.GUETunnelEndpoint{}
		}
		var id int32
		_, _ = fmt.Sscan(p, &id)
		entry.EPICEndpoints[gateway] = epicv1.GUETunnelEndpoint{EPICAddress: gateway, TunnelID: id}
		status.GUETunnelEndpoints[client] = entry
		status.ProxyIfInfo["on-"+gateway] = epicv1.ProxyInterfaceInfo{EPICNodeAddress: gateway, Index: 1, Name: "veth"}
	}
	return status
}

// reported knows which tunnels are up and down, as their gateway nodes say.
func reported(up, down []int32) stateFunc {
	return func(tunnel int32, gatewayNode netip.Addr) tunnelstate.State {
		// Node 192.0.2.9 lies: it claims that all are down, and nothing ends on it but 19.
		gateway := int32(gatewayNode.As4()[3])
		switch {
		case gateway == 9:
			return tunnelstate.Down
		case tunnel%10 != gateway:
			return tunnelstate.Unknown
		case slices.Contains(up, tunnel):
			return tunnelstate.Up
		case slices.Contains(down, tunnel):
			return tunnelstate.Down
		}
		return tunnelstate.Unknown
	}
}

// endpointsOn are remote endpoints on client nodes; 0 is no node.
func endpointsOn(nodes ...int) []*epicv1.RemoteEndpoint {
	var all []*epicv1.RemoteEndpoint
	for i, n := range nodes {
		r := &epicv1.RemoteEndpoint{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprint("r", i), Labels: map[string]string{epic.OwningLoadBalancerLabel: "lb"}},
			Spec:       epicv1.RemoteEndpointSpec{Cluster: "c", Address: fmt.Sprint("10.1.0.", i+1), Port: epicv1.EndpointPort{Port: 80}},
		}
		if n != 0 {
			r.Spec.NodeAddress = fmt.Sprint("10.0.0.", n)
		}
		all = append(all, r)
	}
	return all
}

// The conditions of a load balancer or gateway proxy by the states of its tunnels.
func TestTunnelsUp(t *testing.T) {
	had := []metav1.Condition{{Type: ConditionTunnelsUp}}
	for name, c := range map[string]struct {
		tunnels  []string
		up, down []int32
		nodes    []int
		has      []metav1.Condition
		direct   bool
		// want is TunnelsUp, and then Ready.
		want, message string
	}{
		"nothing is reported":          {[]string{"11", "21"}, nil, nil, []int{1, 2}, nil, false, "- Ready=True/Ready", ""},
		"nothing is reported any more": {[]string{"11", "21"}, nil, nil, []int{1, 2}, had, false, "TunnelsUp=Unknown/NotReported Ready=True/Ready", "NodesReady"},
		"all are up":                   {[]string{"11", "21"}, []int32{11, 21}, nil, []int{1, 2}, nil, false, "TunnelsUp=True/Up Ready=True/Ready", ""},
		"one is not known":             {[]string{"11", "21"}, []int32{11}, nil, []int{1, 2}, nil, false, "TunnelsUp=True/Up Ready=True/Ready", ""},
		"one is down":                  {[]string{"11", "21"}, []int32{11}, []int32{21}, []int{1, 2}, nil, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready", "client node 10.0.0.2 to gateway node 192.0.2.1: check"},
		"one is down, one not known":   {[]string{"11", "21"}, nil, []int32{21}, []int{1, 2}, nil, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready", ""},
		"all are down":                 {[]string{"11", "21"}, nil, []int32{11, 21}, []int{1, 2}, nil, false, "TunnelsUp=False/AllTunnelsDown Ready=False/AllTunnelsDown", "No endpoint can be reached"},
		"the only one is down":         {[]string{"11"}, nil, []int32{11}, []int{1}, nil, false, "TunnelsUp=False/AllTunnelsDown Ready=False/AllTunnelsDown", "whether its address is correct"},
		"down from one gateway node":   {[]string{"11", "12"}, []int32{11}, []int32{12}, []int{1}, nil, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready", "gateway node 192.0.2.2"},
		"down from both":               {[]string{"11", "12"}, nil, []int32{11, 12}, []int{1}, nil, false, "TunnelsUp=False/AllTunnelsDown Ready=False/AllTunnelsDown", ""},
		"crosswise":                    {[]string{"11", "12", "21", "22"}, []int32{11, 22}, []int32{12, 21}, []int{1, 2}, nil, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready", ""},
		"a gateway node that lies":     {[]string{"11", "19"}, []int32{11}, nil, []int{1}, nil, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready", "gateway node 192.0.2.9"},
		"without tunnels":              {[]string{"11"}, nil, []int32{11}, []int{1}, had, true, "TunnelsUp=True/NotNeeded Ready=True/Ready", ""},
		"never with tunnels":           {[]string{"11"}, nil, []int32{11}, []int{1}, nil, true, "- Ready=True/Ready", ""},
		"many are down":                {[]string{"11", "21", "31", "41", "51", "61", "71", "81"}, []int32{11}, []int32{21, 31, 41, 51, 61, 71, 81}, []int{1, 2, 3, 4, 5, 6, 7, 8}, nil, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready", "and 2 more"},
	} {
		t.Run(name, func(t *testing.T) {
			lb := &epicv1.LoadBalancer{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lb"}, Status: tunnelsOf(c.tunnels...),
				Spec: epicv1.LoadBalancerSpec{UpstreamClusters: []string{"c"}, PublicPorts: []epicv1.ServicePort{{Port: 80}}, TrueIngress: ptr.To(!c.direct)},
			}
			lb.Status.Conditions = c.has
			s := stateOfLoadBalancer(lb, endpointsOn(c.nodes...), nil, reported(c.up, c.down))
			found := planFor(s).status.Conditions
			shown := []string{"-"}
			for _, condition := range []string{ConditionTunnelsUp, ConditionReady} {
				if is := meta.FindStatusCondition(found, condition); is != nil {
					shown = append(shown, fmt.Sprintf("%s=%s/%s", is.Type, is.Status, is.Reason))
					if condition == ConditionTunnelsUp && !strings.Contains(is.Message, c.message) {
						t.Errorf("the message is %q, and has no %q", is.Message, c.message)
					}
				}
			}
			if got := strings.Join(shown[min(len(shown)-2, 1):], " "); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// The conditions of an endpoint by the states of the tunnels to its node.
func TestTunnelReady(t *testing.T) {
	for name, c := range map[string]struct {
		tunnels       []string
		up, down      []int32
		want, message string
	}{
		"nothing is reported":      {[]string{"11"}, nil, nil, "TunnelReady=True/Assigned Ready=True/Ready", ""},
		"up":                       {[]string{"11"}, []int32{11}, nil, "TunnelReady=True/Up Ready=True/Ready", ""},
		"down":                     {[]string{"11"}, nil, []int32{11}, "TunnelReady=False/AllTunnelsDown Ready=False/AllTunnelsDown", "down from client node 10.0.0.1 to gateway node 192.0.2.1: check"},
		"another node's":           {[]string{"11", "21"}, []int32{11}, []int32{21}, "TunnelReady=True/Up Ready=True/Ready", ""},
		"from one of two":          {[]string{"11", "12"}, []int32{11}, []int32{12}, "TunnelReady=True/SomeTunnelsDown Ready=True/Ready", "192.0.2.2"},
		"down, and one not known":  {[]string{"11", "12"}, nil, []int32{12}, "TunnelReady=True/SomeTunnelsDown Ready=True/Ready", ""},
		"from both":                {[]string{"11", "12"}, nil, []int32{11, 12}, "TunnelReady=False/AllTunnelsDown Ready=False/AllTunnelsDown", ""},
		"a gateway node that lies": {[]string{"11", "19"}, []int32{11}, nil, "TunnelReady=True/SomeTunnelsDown Ready=True/Ready", "192.0.2.9"},
	} {
		t.Run(name, func(t *testing.T) {
			lb := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lb"}, Spec: epicv1.LoadBalancerSpec{UpstreamClusters: []string{"c"}}, Status: tunnelsOf(c.tunnels...)}
			checkTold(t, remoteEndpoint(endpointsOn(1)[0], lb, reported(c.up, c.down)), "Accepted=True/Accepted "+c.want, c.message)
		})
	}
}

// The conditions of a route and of a slice by the states of the tunnels that lead from
// their gateway proxies to their endpoints.
func TestTunnelsUpOfRoutesAndSlices(t *testing.T) {
	slice := sliceOf("svc", func(s *epicv1.GWEndpointSliceSpec) {
		s.NodeAddresses = map[string]string{"n": "10.0.0.1", "m": "10.0.0.2"}
		s.Endpoints = append(s.Endpoints, *s.Endpoints[0].DeepCopy())
		s.Endpoints[1].Addresses, s.Endpoints[1].NodeName = []string{"10.1.0.2"}, ptr.To("m")
	})
	route := routeTo([]string{"p", "q"}, "svc")
	for name, c := range map[string]struct {
		// tunnels are those of two gateway proxies.
		tunnels  [2][]string
		up, down []int32
		has      bool
		want     string
	}{
		"nothing is reported":          {[2][]string{{"11", "21"}, {"12"}}, nil, nil, false, "Ready=True/Ready"},
		"no tunnel yet":                {[2][]string{{}, {}}, nil, nil, false, "Ready=True/Ready"},
		"no tunnel any more":           {[2][]string{{}, {}}, nil, nil, true, "TunnelsUp=True/NotNeeded Ready=True/Ready"},
		"all are up":                   {[2][]string{{"11", "21"}, {"12", "22"}}, []int32{11, 21, 12, 22}, nil, false, "TunnelsUp=True/Up Ready=True/Ready"},
		"one is down":                  {[2][]string{{"11", "21"}, {"12", "22"}}, []int32{11, 21, 12}, []int32{22}, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready"},
		"one node is cut off":          {[2][]string{{"11", "21"}, {"12", "22"}}, []int32{11, 12}, []int32{21, 22}, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready"},
		"all are down":                 {[2][]string{{"11", "21"}, {"12", "22"}}, nil, []int32{11, 21, 12, 22}, false, "TunnelsUp=False/AllTunnelsDown Ready=False/AllTunnelsDown"},
		"down, and one has none yet":   {[2][]string{{"11"}, {}}, nil, []int32{11}, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready"},
		"tunnels to nodes of others":   {[2][]string{{"11", "21", "31"}, {}}, []int32{11, 21}, []int32{31}, false, "TunnelsUp=True/Up Ready=True/Ready"},
		"reports on others' tunnels":   {[2][]string{{"11", "21"}, {}}, []int32{11, 21}, []int32{12, 22}, false, "TunnelsUp=True/Up Ready=True/Ready"},
		"the same pair in both":        {[2][]string{{"11", "21"}, {"11", "21"}}, []int32{21}, []int32{11}, false, "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready"},
		"nothing is reported any more": {[2][]string{{"11", "21"}, {}}, nil, nil, true, "TunnelsUp=Unknown/NotReported Ready=True/Ready"},
	} {
		t.Run(name, func(t *testing.T) {
			p, q := tunnelsOf(c.tunnels[0]...), tunnelsOf(c.tunnels[1]...)
			parents, route, slice := []*epicv1.ProxyStatus{&p, &q}, route.DeepCopy(), slice.DeepCopy()
			if c.has {
				route.Status.Conditions = []metav1.Condition{{Type: ConditionTunnelsUp}}
				slice.Status.Conditions = route.Status.Conditions
			}
			checkTold(t, gwRoute(route, nil, []*epicv1.GWEndpointSlice{slice}, reported(c.up, c.down), parents), "Accepted=True/Accepted ResolvedRefs=True/Resolved "+c.want, "")
			checkTold(t, gwEndpointSlice(slice, true, reported(c.up, c.down), parents), "InUse=True/Referenced NodesKnown=True/Known "+c.want, "")
		})
	}
}

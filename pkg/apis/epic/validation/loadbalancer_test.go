// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validLoadBalancer() *epic.LoadBalancer {
	return &epic.LoadBalancer{
		ObjectMeta: meta("epic-root", "sample-acnodal", epic.OwningLBServiceGroupLabel, "sample"),
		Spec: epic.LoadBalancerSpec{
			ServiceGroup:      "sample",
			DisplayName:       "acnodal",
			PublicAddress:     "192.168.77.2",
			PublicPorts:       []epic.ServicePort{tcp(8888), {Port: 8888, Protocol: "UDP", TargetPort: ptr.To(intstr.FromInt32(8080)), NodePort: 30390}},
			EnvoyReplicaCount: num(1),
			UpstreamClusters:  []string{"cluster-a"},
			Endpoints:         []epic.DNSEndpoint{{DNSName: "acnodal.sample.client.acnodal.io", Targets: []string{"192.168.77.2"}, RecordType: "A", RecordTTL: 180}},
		},
	}
}

func TestLoadBalancer(t *testing.T) {
	spec := []change[epic.LoadBalancer]{
		{"no ports", func(o *epic.LoadBalancer) { o.Spec.PublicPorts = nil }, "", ""},
		{"port 0", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].Port = 0 }, "spec.public-ports[0].port", "from 1 to 65535"},
		{"port 65536", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].Port = 65536 }, "spec.public-ports[0].port", "from 1 to 65535"},
		{"port twice", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[1].Protocol = "TCP" }, "spec.public-ports[1]", "Duplicate"},
		{"many ports", func(o *epic.LoadBalancer) {
			o.Spec.PublicPorts = times(129, func(i int) epic.ServicePort { return tcp(int32(i + 1)) })
		}, "spec.public-ports", "more than 128"},
		{"port twice under different names", func(o *epic.LoadBalancer) {
			o.Spec.PublicPorts[1].Protocol, o.Spec.PublicPorts[1].Name = "TCP", "other"
		}, "spec.public-ports[1]", "remove one"},
		{"port name with dots", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].Name = "www.example.com" }, "", ""},
		{"no protocol", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].Protocol = "" }, "spec.public-ports[0].protocol", "TCP, UDP"},
		{"SCTP", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].Protocol = "SCTP" }, "spec.public-ports[0].protocol", "use one of TCP, UDP"},
		{"shell text", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].Protocol = "TCP; reboot #" }, "spec.public-ports[0].protocol", "use one of TCP, UDP"},
		{"lower case protocol", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].Protocol = "tcp" }, "spec.public-ports[0].protocol", "use one of TCP, UDP"},
		{"port name", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].Name = "a b" }, "spec.public-ports[0].name", "lowercase"},
		{"appProtocol", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].AppProtocol = "a b" }, "spec.public-ports[0].appProtocol", "consist of"},
		{"node port", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].NodePort = -1 }, "spec.public-ports[0].nodePort", "from 0"},
		{"target port 0, as Go clients leave it out", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].TargetPort = &intstr.IntOrString{} }, "", ""},
		{"target port by name", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].TargetPort = ptr.To(intstr.FromString("http")) }, "", ""},
		{"target port too high", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].TargetPort = ptr.To(intstr.FromInt32(70000)) }, "spec.public-ports[0].targetPort", "from 0 to 65535"},
		{"target port of shell text", func(o *epic.LoadBalancer) { o.Spec.PublicPorts[0].TargetPort = ptr.To(intstr.FromString("`reboot`")) }, "spec.public-ports[0].targetPort", "number or name"},
		{"100 replicas", func(o *epic.LoadBalancer) { o.Spec.EnvoyReplicaCount = num(100) }, "", ""},
		{"5000 replicas", func(o *epic.LoadBalancer) { o.Spec.EnvoyReplicaCount = num(5000) }, "spec.envoy-replica-count", "from 1 to 100"},
		{"negative replicas", func(o *epic.LoadBalancer) { o.Spec.EnvoyReplicaCount = num(-1) }, "spec.envoy-replica-count", "from 1 to 100"},
		{"display name with control characters", func(o *epic.LoadBalancer) { o.Spec.DisplayName = "a\x1b[2J" }, "spec.display-name", "control"},
		{"display name too long", func(o *epic.LoadBalancer) { o.Spec.DisplayName = long(254) }, "spec.display-name", "shorten"},
		{"cluster twice", func(o *epic.LoadBalancer) { o.Spec.UpstreamClusters = []string{"a", "a"} }, "spec.upstream-clusters[1]", "Duplicate"},
		{"empty cluster", func(o *epic.LoadBalancer) { o.Spec.UpstreamClusters = []string{""} }, "spec.upstream-clusters[0]", "Required"},
		{"many clusters", func(o *epic.LoadBalancer) {
			o.Spec.UpstreamClusters = times(257, func(i int) string { return fmt.Sprint(i) })
		}, "spec.upstream-clusters", "more than 256"},
		{"bad template", func(o *epic.LoadBalancer) {
			o.Spec.EnvoyTemplate = &epic.EnvoyConfigSpec{EnvoyResources: epic.EnvoyResources{Clusters: []epic.EnvoyResource{{Name: "a", Value: "{{"}}}}
		}, "spec.envoy-template.envoyResources.clusters[0].value", "does not parse"},
	}
	creations(t, validLoadBalancer, ValidateLoadBalancer, append([]change[epic.LoadBalancer]{
		{"63 characters", func(o *epic.LoadBalancer) { o.Name = long(63) }, "", ""},
		{"too long for a Service", func(o *epic.LoadBalancer) { o.Name = long(64) }, "metadata.name", "63"},
		{"dots in the name", func(o *epic.LoadBalancer) { o.Name = "a.b" }, "metadata.name", "dots"},
		{"in the namespace epic", func(o *epic.LoadBalancer) { o.Namespace = "epic" }, "metadata.namespace", "epic-NAME: create it there"},
		{"in another namespace", func(o *epic.LoadBalancer) { o.Namespace = "default" }, "metadata.namespace", "epic-NAME: create it there"},
		{"in a namespace of no name", func(o *epic.LoadBalancer) { o.Namespace = "epic-" }, "metadata.namespace", "epic-NAME: create it there"},
		{"no group", func(o *epic.LoadBalancer) { o.Spec.ServiceGroup = ""; o.Labels = nil }, "spec.service-group", "set it, or the label"},
		{"two groups", func(o *epic.LoadBalancer) { o.Spec.ServiceGroup = "other" }, "spec.service-group", "leave one of the two out"},
		{"no name of a group", func(o *epic.LoadBalancer) {
			o.Spec.ServiceGroup = "a/b"
			o.Labels[epic.OwningLBServiceGroupLabel] = "a/b"
		}, "spec.service-group", "lowercase"},
		{"a service ID from a backup", func(o *epic.LoadBalancer) { o.Spec.ServiceID = 7 }, "", ""},
		{"a negative service ID", func(o *epic.LoadBalancer) { o.Spec.ServiceID = -7 }, "spec.service-id", "leave it out"},
		{"no address", func(o *epic.LoadBalancer) { o.Spec.PublicAddress = "" }, "", ""},
		{"no IP address", func(o *epic.LoadBalancer) { o.Spec.PublicAddress = "192.168.77.2/24" }, "spec.public-address", "must be an IP address"},
		{"address not canonical", func(o *epic.LoadBalancer) { o.Spec.PublicAddress = "2001:DB8::1" }, "spec.public-address", "write 2001:db8::1"},
		{"record of a bad name", func(o *epic.LoadBalancer) { o.Spec.Endpoints[0].DNSName = "a b" }, "spec.endpoints[0].dnsName", "DNS name"},
		{"record of an unknown type", func(o *epic.LoadBalancer) { o.Spec.Endpoints[0].RecordType = "ANY" }, "spec.endpoints[0].recordType", "use one of A, AAAA"},
		{"record of a negative age", func(o *epic.LoadBalancer) { o.Spec.Endpoints[0].RecordTTL = -1 }, "spec.endpoints[0].recordTTL", "from 0"},
		{"record of many targets", func(o *epic.LoadBalancer) { o.Spec.Endpoints[0].Targets = make([]string, 65) }, "spec.endpoints[0].targets", "more than 64"},
		{"many records", func(o *epic.LoadBalancer) { o.Spec.Endpoints = make([]epic.DNSEndpoint, 33) }, "spec.endpoints", "more than 32"},
	}, spec...))

	owned := func() *epic.LoadBalancer {
		o := validLoadBalancer()
		o.Spec.ServiceID = 3
		o.Labels[epic.OwningAccountLabel] = "root"
		return o
	}
	updates(t, owned, ValidateLoadBalancerUpdate, append([]change[epic.LoadBalancer]{
		{"another label", func(o *epic.LoadBalancer) { o.Labels[epic.NudgeLabel] = "1234" }, "", ""},
		{"another group", func(o *epic.LoadBalancer) { o.Spec.ServiceGroup = "other" }, "spec.service-group", "can't be changed from sample"},
		{"another group's label", func(o *epic.LoadBalancer) { o.Labels[epic.OwningLBServiceGroupLabel] = "other" }, "metadata.labels[epic.acnodal.io/owning-lbservicegroup]", "can't be changed"},
		{"another account", func(o *epic.LoadBalancer) { o.Labels[epic.OwningAccountLabel] = "other" }, "metadata.labels[epic.acnodal.io/owning-account]", `keep "root"`},
		{"a prefix", func(o *epic.LoadBalancer) { o.Labels[epic.OwningServicePrefixLabel] = "other" }, "metadata.labels[epic.acnodal.io/owning-serviceprefix]", "set by the server"},
		{"an empty label", func(o *epic.LoadBalancer) { o.Labels[epic.OwningProxyLabel] = "" }, "metadata.labels[epic.acnodal.io/owning-proxy]", "set by the server"},
		{"no account", func(o *epic.LoadBalancer) { delete(o.Labels, epic.OwningAccountLabel) }, "metadata.labels[epic.acnodal.io/owning-account]", "can't be changed"},
		{"another address", func(o *epic.LoadBalancer) { o.Spec.PublicAddress = "192.168.77.3" }, "spec.public-address", "can't be changed from 192.168.77.2"},
		{"another service ID", func(o *epic.LoadBalancer) { o.Spec.ServiceID = 4 }, "spec.service-id", "can't be changed from 3"},
		{"no service ID", func(o *epic.LoadBalancer) { o.Spec.ServiceID = 0 }, "spec.service-id", "can't be changed from 3"},
		{"tunnels off", func(o *epic.LoadBalancer) { o.Spec.TrueIngress = ptr.To(false) }, "spec.true-ingress", "can't be switched off"},
	}, spec...))
	addressless := func() *epic.LoadBalancer {
		o := validLoadBalancer()
		o.Spec.PublicAddress = ""
		return o
	}
	updates(t, addressless, ValidateLoadBalancerUpdate, []change[epic.LoadBalancer]{
		{"a first address", func(o *epic.LoadBalancer) { o.Spec.PublicAddress = "192.168.77.2" }, "", ""},
	})
}

const nodePath = "status.gue-tunnel-endpoints[192.168.1.16]"

// statusCases are for both kinds that have tunnels. The object has one, 2, from
// the node 192.168.1.16 to 192.168.1.40.
func statusCases[T any](status func(*T) *epic.ProxyStatus) []change[T] {
	on := func(f func(*epic.ProxyStatus)) func(*T) { return func(o *T) { f(status(o)) } }
	// entry changes the entry of 192.168.1.16.
	entry := func(f func(*epic.TunnelEndpoint)) func(*T) {
		return on(func(s *epic.ProxyStatus) {
			e := s.GUETunnelEndpoints["192.168.1.16"]
			f(&e)
			s.GUETunnelEndpoints["192.168.1.16"] = e
		})
	}
	return []change[T]{
		{"another tunnel", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["192.168.1.25"] = node("192.168.1.40", 0) }), "", ""},
		{"no tunnels", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints = nil }), "", ""},
		{"a node without tunnels", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["192.168.1.25"] = epic.TunnelEndpoint{EPICPort: gue} }), "", ""},
		{"a chosen ID", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["192.168.1.25"] = node("192.168.1.40", 7) }),
			"status.gue-tunnel-endpoints[192.168.1.25].epic-endpoints[192.168.1.40].tunnel-id", "assigned by the server: leave it out"},
		{"an ID of another pair", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["192.168.1.25"] = node("192.168.1.40", 2) }),
			"status.gue-tunnel-endpoints[192.168.1.25].epic-endpoints[192.168.1.40].tunnel-id", "assigned by the server: leave it out"},
		{"a changed ID", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["192.168.1.16"] = node("192.168.1.40", 3) }),
			nodePath + ".epic-endpoints[192.168.1.40].tunnel-id", "can't be changed from 2"},
		{"a made-up own ID", entry(func(e *epic.TunnelEndpoint) { e.TunnelID = 9 }), nodePath + ".tunnel-id", "assigned by the server"},
		{"an ID of no tunnel", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["192.168.1.25"] = epic.TunnelEndpoint{TunnelID: 9} }),
			"status.gue-tunnel-endpoints[192.168.1.25].tunnel-id", "assigned by the server"},
		{"a node that is no address", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["node-1"] = node("192.168.1.40", 0) }), "status.gue-tunnel-endpoints[node-1]", "must be an IP address"},
		{"a node not in canonical form", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["2001:DB8::1"] = node("192.168.1.40", 0) }), "status.gue-tunnel-endpoints[2001:DB8::1]", "write 2001:db8::1"},
		{"an EPIC node that is no address", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["192.168.1.25"] = node("gw", 0) }),
			"status.gue-tunnel-endpoints[192.168.1.25].epic-endpoints[gw]", "must be an IP address"},
		{"an address that is not its key", entry(func(e *epic.TunnelEndpoint) { e.EPICEndpoints["192.168.1.41"] = pair("192.168.1.42", 0) }),
			nodePath + ".epic-endpoints[192.168.1.41].epic-address", "write 192.168.1.41"},
		{"a port out of range", entry(func(e *epic.TunnelEndpoint) {
			e.EPICEndpoints["192.168.1.41"] = epic.GUETunnelEndpoint{EPICAddress: "192.168.1.41", EPICPort: epic.EndpointPort{Port: 65536, Protocol: "UDP"}}
		}), nodePath + ".epic-endpoints[192.168.1.41].epic-port.port", "from 1 to 65535"},
		{"a protocol of shell text", entry(func(e *epic.TunnelEndpoint) { e.EPICPort.Protocol = "UDP;reboot" }), nodePath + ".epic-port.protocol", "must be UDP"},
		{"1024 tunnels", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints = nodes(1024) }), "", ""},
		{"1025 tunnels", on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints = nodes(1025) }), "status.gue-tunnel-endpoints", "at most 1024 tunnels"},
		{"1025 tunnels of one node", entry(func(e *epic.TunnelEndpoint) {
			for a := range nodes(1025) {
				e.EPICEndpoints[a] = pair(a, 0)
			}
		}), "status.gue-tunnel-endpoints", "at most 1024 tunnels"},
		{"1025 nodes without tunnels", on(func(s *epic.ProxyStatus) {
			for a := range nodes(1025) {
				s.GUETunnelEndpoints[a] = epic.TunnelEndpoint{}
			}
		}), "status.gue-tunnel-endpoints", "at most 1024 tunnels"},
		{"an interface", on(func(s *epic.ProxyStatus) {
			s.ProxyIfInfo = map[string]epic.ProxyInterfaceInfo{"pod-1": {EPICNodeAddress: "192.168.1.40", EPICPort: gue, Index: 16, Name: "veth67060f1f"}}
			s.ProxyIfIndex, s.ProxyIfName = 16, "veth67060f1f"
		}), "", ""},
		{"an interface of a long name", on(func(s *epic.ProxyStatus) {
			s.ProxyIfInfo = map[string]epic.ProxyInterfaceInfo{"pod-1": {Name: long(16)}}
		}),
			"status.proxy-if-info[pod-1].name", "network interface"},
		{"an interface with a slash", on(func(s *epic.ProxyStatus) { s.ProxyIfName = "../a" }), "status.proxy-ifname", "network interface"},
		{"Envoys", on(func(s *epic.ProxyStatus) {
			s.Envoy = &epic.EnvoyStatus{
				Replicas: 2, ReadyReplicas: 1, Listeners: []epic.EnvoyListenerStatus{{Name: "TCP-80", Address: "192.0.2.1", Port: 80, Protocol: "TCP"}},
				LastRejection: &epic.EnvoyRejection{Proxy: "a-0", Type: "listener", Resource: "TCP-80", Message: "no"},
			}
		}), "", ""},
		{"fewer than no Envoys", on(func(s *epic.ProxyStatus) { s.Envoy = &epic.EnvoyStatus{Replicas: -1} }), "status.envoy.replicas", "negative"},
		{"an Envoy that listens nowhere", on(func(s *epic.ProxyStatus) {
			s.Envoy = &epic.EnvoyStatus{Listeners: []epic.EnvoyListenerStatus{{Address: "here"}}}
		}), "status.envoy.listeners[0].address", "must be an IP address"},
		{"a listener without a possible port", on(func(s *epic.ProxyStatus) {
			s.Envoy = &epic.EnvoyStatus{Listeners: []epic.EnvoyListenerStatus{{Port: 65536}}}
		}), "status.envoy.listeners[0].port", "from 0 to 65535"},
		{"words that change a terminal", on(func(s *epic.ProxyStatus) {
			s.Envoy = &epic.EnvoyStatus{LastRejection: &epic.EnvoyRejection{Message: "a\x1b[2J"}}
		}), "status.envoy.lastRejection.message", "control characters"},
		{"listeners", on(func(s *epic.ProxyStatus) {
			s.Listeners = []epic.GatewayListenerStatus{{Name: "web.example", AttachedRoutes: 2}, {Name: "other"}}
		}), "", ""},
		{"a listener twice", on(func(s *epic.ProxyStatus) {
			s.Listeners = []epic.GatewayListenerStatus{{Name: "web"}, {Name: "web"}}
		}), "status.listeners[1].name", "Duplicate"},
		{"fewer than no routes", on(func(s *epic.ProxyStatus) {
			s.Listeners = []epic.GatewayListenerStatus{{Name: "web", AttachedRoutes: -1}}
		}), "status.listeners[0].attachedRoutes", "negative"},
		{"many conditions of a listener", on(func(s *epic.ProxyStatus) {
			s.Listeners = []epic.GatewayListenerStatus{{Name: "web", Conditions: make([]metav1.Condition, maxConditions+1)}}
		}), "status.listeners[0].conditions", "more than 64"},
		{"many listeners", on(func(s *epic.ProxyStatus) {
			for i := range epic.MaxListeners + 1 {
				s.Listeners = append(s.Listeners, epic.GatewayListenerStatus{Name: fmt.Sprint(i)})
			}
		}), "status.listeners", "more than 64"},
		{"a placement", on(func(s *epic.ProxyStatus) { s.ProxyPlacements = map[string]string{"pod-1": "192.168.1.40"} }), "", ""},
		{"a placement of no proxy", on(func(s *epic.ProxyStatus) { s.ProxyPlacements = map[string]string{"a b": "192.168.1.40"} }), "status.proxy-placements[a b]", "name of a proxy"},
		{"a placement nowhere", on(func(s *epic.ProxyStatus) { s.ProxyPlacements = map[string]string{"pod-1": "here"} }), "status.proxy-placements[pod-1]", "must be an IP address"},
		{"a placement in another form", on(func(s *epic.ProxyStatus) { s.ProxyPlacements = map[string]string{"pod-1": "::ffff:192.168.1.40"} }), "status.proxy-placements[pod-1]", "write 192.168.1.40"},
		{"too many placements", on(func(s *epic.ProxyStatus) {
			s.ProxyPlacements = map[string]string{}
			for i := range maxProxyPods + 1 {
				s.ProxyPlacements[fmt.Sprint("pod-", i)] = "192.168.1.40"
			}
		}), "status.proxy-placements", "more than 400"},
		{"an interface of no pod", on(func(s *epic.ProxyStatus) { s.ProxyIfInfo = map[string]epic.ProxyInterfaceInfo{"a b": {}} }), "status.proxy-if-info[a b]", "name of a pod"},
		{"an interface on no node", on(func(s *epic.ProxyStatus) {
			s.ProxyIfInfo = map[string]epic.ProxyInterfaceInfo{"pod-1": {EPICNodeAddress: "node"}}
		}), "status.proxy-if-info[pod-1].epic-node-address", "must be an IP address"},
		{"an interface of a negative index", on(func(s *epic.ProxyStatus) { s.ProxyIfInfo = map[string]epic.ProxyInterfaceInfo{"pod-1": {Index: -1}} }),
			"status.proxy-if-info[pod-1].index", "negative"},
		{"many interfaces", on(func(s *epic.ProxyStatus) {
			s.ProxyIfInfo = map[string]epic.ProxyInterfaceInfo{}
			for i := range 401 {
				s.ProxyIfInfo[fmt.Sprint("pod-", i)] = epic.ProxyInterfaceInfo{}
			}
		}), "status.proxy-if-info", "more than 400"},
		{"a place", on(func(s *epic.ProxyStatus) { s.QuotaPlace = 5 }), "status.quota-place", "assigned by the server"},
		{"many conditions", on(func(s *epic.ProxyStatus) {
			for i := range 65 {
				c := condition()
				c.Type = fmt.Sprint("Type", i)
				s.Conditions = append(s.Conditions, c)
			}
		}), "status.conditions", "more than 64"},
	}
}

func TestLoadBalancerStatus(t *testing.T) {
	valid := func() *epic.LoadBalancer {
		o := validLoadBalancer()
		o.Status.GUETunnelEndpoints = map[string]epic.TunnelEndpoint{"192.168.1.16": node("192.168.1.40", 2)}
		return o
	}
	updates(t, valid, ValidateLoadBalancerStatusUpdate, statusCases(func(o *epic.LoadBalancer) *epic.ProxyStatus { return &o.Status }))
}

// A refused request that is large must not get a large answer.
func TestMessagesAreShort(t *testing.T) {
	o := validLoadBalancer()
	huge := strings.Repeat("x", 1<<20)
	o.Name, o.Spec.DisplayName, o.Spec.PublicAddress = huge, huge, huge
	o.Spec.PublicPorts[0] = epic.ServicePort{Port: 1, Protocol: "P", Name: huge, AppProtocol: huge, TargetPort: ptr.To(intstr.FromString(huge))}
	o.Spec.UpstreamClusters = []string{huge}
	o.Spec.Endpoints[0] = epic.DNSEndpoint{DNSName: huge, RecordType: huge, Targets: []string{huge}, Labels: map[string]string{huge: huge}}
	o.Spec.EnvoyTemplate = &epic.EnvoyConfigSpec{NodeID: huge, Serialization: epic.EnvoySerialization(huge), EnvoyResources: epic.EnvoyResources{
		Clusters: []epic.EnvoyResource{{Name: huge, Value: "{{" + long(1000)}},
	}}
	if n := len(ValidateLoadBalancer(o).ToAggregate().Error()); n > 10000 {
		t.Errorf("a message of %d bytes", n)
	}
}

// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"testing"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validGWProxy() *epic.GWProxy {
	return &epic.GWProxy{
		ObjectMeta: meta("epic-root", "4f1d0a52-9a3b-4a60-8d8d-3d9f8e1b7c11", epic.OwningLBServiceGroupLabel, "gateway"),
		Spec: epic.GWProxySpec{
			ClientRef:     epic.ClientRef{ClusterID: "cluster-a", Namespace: "default", Name: "gw", UID: "4f1d0a52-9a3b-4a60-8d8d-3d9f8e1b7c11"},
			PublicAddress: "2001:db8::2",
			AltAddress:    "192.168.77.2",
			PublicPorts:   []epic.ServicePort{tcp(443)},
			Gateway: &epic.GatewaySpec{GatewaySpec: gatewayv1.GatewaySpec{
				GatewayClassName: "epic",
				Listeners: []gatewayv1.Listener{{
					Name: "https", Port: 443, Protocol: gatewayv1.HTTPSProtocolType, Hostname: ptr.To[gatewayv1.Hostname]("*.example.com"),
					TLS:           &gatewayv1.ListenerTLSConfig{Mode: ptr.To(gatewayv1.TLSModeTerminate)},
					AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: ptr.To(gatewayv1.NamespacesFromSame)}},
				}},
			}},
		},
	}
}

func TestGWProxy(t *testing.T) {
	gateway := func(f func(*gatewayv1.GatewaySpec)) func(*epic.GWProxy) {
		return func(o *epic.GWProxy) { f(&o.Spec.Gateway.GatewaySpec) }
	}
	listener := func(f func(*gatewayv1.Listener)) func(*epic.GWProxy) {
		return func(o *epic.GWProxy) { f(&o.Spec.Gateway.Listeners[0]) }
	}
	const at = "spec.gateway.listeners[0]."
	spec := []change[epic.GWProxy]{
		{"no gateway", func(o *epic.GWProxy) { o.Spec.Gateway = nil }, "", ""},
		{"shell text", func(o *epic.GWProxy) { o.Spec.PublicPorts[0].Protocol = "|sh" }, "spec.public-ports[0].protocol", "use one of TCP, UDP"},
		{"5000 replicas", func(o *epic.GWProxy) { o.Spec.EnvoyReplicaCount = num(5000) }, "spec.envoy-replica-count", "from 1 to 100"},
		{"long reference", func(o *epic.GWProxy) { o.Spec.ClientRef.Name = long(254) }, "spec.clientRef.name", "shorten"},
		{"reference with spaces", func(o *epic.GWProxy) { o.Spec.ClientRef.ClusterID = "a b" }, "spec.clientRef.clusterID", "spaces"},
		{"bad template", func(o *epic.GWProxy) { o.Spec.EnvoyTemplate = &epic.EnvoyConfigSpec{EnvoyAPI: "v4"} }, "spec.envoy-template.envoyAPI", "use one of v3"},
		{"no class", gateway(func(g *gatewayv1.GatewaySpec) { g.GatewayClassName = "" }), "spec.gateway.gatewayClassName", "Required"},
		{"long class", gateway(func(g *gatewayv1.GatewaySpec) { g.GatewayClassName = gatewayv1.ObjectName(long(254)) }), "spec.gateway.gatewayClassName", "shorten"},
		{"no listener", gateway(func(g *gatewayv1.GatewaySpec) { g.Listeners = nil }), "spec.gateway.listeners", "add one"},
		{"64 listeners", gateway(func(g *gatewayv1.GatewaySpec) { g.Listeners = listeners(64) }), "", ""},
		{"65 listeners", gateway(func(g *gatewayv1.GatewaySpec) { g.Listeners = listeners(65) }), "spec.gateway.listeners", "more than 64"},
		{"listener's name twice", gateway(func(g *gatewayv1.GatewaySpec) { g.Listeners = append(g.Listeners, g.Listeners[0]) }), "spec.gateway.listeners[1].name", "Duplicate"},
		{"listener without name", listener(func(l *gatewayv1.Listener) { l.Name = "" }), at + "name", "Required"},
		{"listener's port", listener(func(l *gatewayv1.Listener) { l.Port = 0 }), at + "port", "from 1 to 65535"},
		{"listener's protocol", listener(func(l *gatewayv1.Listener) { l.Protocol = "a;b" }), at + "protocol", "use one of HTTP, HTTPS, TLS, TCP, UDP"},
		{"listener without protocol", listener(func(l *gatewayv1.Listener) { l.Protocol = "" }), at + "protocol", "use one of HTTP, HTTPS, TLS, TCP, UDP"},
		{"listener of a protocol of another project", listener(func(l *gatewayv1.Listener) { l.Protocol = "example.com/mine" }), "", ""},
		{"listener of a protocol that is not served", listener(func(l *gatewayv1.Listener) { l.Protocol = "SCTP" }), "", ""},
		{"long protocol", listener(func(l *gatewayv1.Listener) { l.Protocol = gatewayv1.ProtocolType(long(256)) }), at + "protocol", "at most 255"},
		{"listener's name with dots", listener(func(l *gatewayv1.Listener) { l.Name = "www.example.com" }), "", ""},
		{"listener's long name", listener(func(l *gatewayv1.Listener) { l.Name = gatewayv1.SectionName(long(253)) }), "", ""},
		{"ports named after listeners", func(o *epic.GWProxy) {
			o.Spec.PublicPorts[0].Name = "www.example.com"
			o.Spec.PublicPorts = append(o.Spec.PublicPorts, epic.ServicePort{Port: 80, Protocol: "TCP", Name: long(253)})
		}, "", ""},
		{"a port's name that no listener has", func(o *epic.GWProxy) { o.Spec.PublicPorts[0].Name = "a_b" }, "spec.public-ports[0].name", "lowercase"},
		{"one port for two listeners", func(o *epic.GWProxy) {
			o.Spec.PublicPorts = []epic.ServicePort{{Port: 443, Protocol: "TCP", Name: "a"}, {Port: 443, Protocol: "TCP", Name: "b"}, {Port: 443, Protocol: "TCP"}}
		}, "", ""},
		{"one port twice for a listener", func(o *epic.GWProxy) {
			o.Spec.PublicPorts = []epic.ServicePort{{Port: 443, Protocol: "TCP", Name: "a"}, {Port: 443, Protocol: "TCP", Name: "a"}}
		}, "spec.public-ports[1]", "its own name"},
		{"one port twice without a name", func(o *epic.GWProxy) { o.Spec.PublicPorts = append(o.Spec.PublicPorts, o.Spec.PublicPorts[0]) }, "spec.public-ports[1]", "443/TCP"},
		{"UDP listener", listener(func(l *gatewayv1.Listener) { l.Protocol = "UDP" }), "", ""},
		{"listener's hostname", listener(func(l *gatewayv1.Listener) { l.Hostname = ptr.To[gatewayv1.Hostname]("a.*.com") }), at + "hostname", "DNS name"},
		{"address for a hostname", listener(func(l *gatewayv1.Listener) { l.Hostname = ptr.To[gatewayv1.Hostname]("192.0.2.1") }), at + "hostname", "not an IP address"},
		{"empty hostname", listener(func(l *gatewayv1.Listener) { l.Hostname = ptr.To[gatewayv1.Hostname]("") }), "", ""},
		{"TLS mode", listener(func(l *gatewayv1.Listener) { l.TLS.Mode = ptr.To[gatewayv1.TLSModeType]("Other") }), at + "tls.mode", "use one of Terminate, Passthrough"},
		{"TLS options", listener(func(l *gatewayv1.Listener) {
			l.TLS.Options = map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue{"a": "b\x00"}
		}), at + "tls.options[a]", "control"},
		{"routes from", listener(func(l *gatewayv1.Listener) { l.AllowedRoutes.Namespaces.From = ptr.To[gatewayv1.FromNamespaces]("Any") }), at + "allowedRoutes.namespaces.from", "use one of All, Selector, Same"},
		{"9 kinds", listener(func(l *gatewayv1.Listener) { l.AllowedRoutes.Kinds = make([]gatewayv1.RouteGroupKind, 9) }), at + "allowedRoutes.kinds", "more than 8"},
		{"17 addresses", gateway(func(g *gatewayv1.GatewaySpec) { g.Addresses = make([]gatewayv1.GatewaySpecAddress, 17) }), "spec.gateway.addresses", "more than 16"},
	}
	creations(t, validGWProxy, ValidateGWProxy, append([]change[epic.GWProxy]{
		{"no group", func(o *epic.GWProxy) { o.Labels = nil }, "metadata.labels[epic.acnodal.io/owning-lbservicegroup]", "set the label"},
		{"a sharing key", func(o *epic.GWProxy) { o.Name = "shop.example.com" }, "", ""},
		{"a long sharing key", func(o *epic.GWProxy) { o.Name = long(253) }, "", ""},
		{"too long a name", func(o *epic.GWProxy) { o.Name = long(254) }, "metadata.name", "253"},
		{"a name in upper case", func(o *epic.GWProxy) { o.Name = "Shop" }, "metadata.name", "lowercase"},
		{"no namespace of an account", func(o *epic.GWProxy) { o.Namespace = "epic" }, "metadata.namespace", "create it there"},
		{"alt address of IPv6", func(o *epic.GWProxy) { o.Spec.AltAddress = "2001:db8::3" }, "spec.alt-address", "must be an IPv4 address"},
		{"bad address", func(o *epic.GWProxy) { o.Spec.PublicAddress = "any" }, "spec.public-address", "must be an IP address"},
		{"bad record", func(o *epic.GWProxy) { o.Spec.Endpoints = []epic.DNSEndpoint{{RecordType: "x"}} }, "spec.endpoints[0].recordType", "use one of"},
	}, spec...))
	updates(t, validGWProxy, ValidateGWProxyUpdate, append([]change[epic.GWProxy]{
		{"another address", func(o *epic.GWProxy) { o.Spec.PublicAddress = "2001:db8::3" }, "spec.public-address", "can't be changed from 2001:db8::2"},
		{"another alt address", func(o *epic.GWProxy) { o.Spec.AltAddress = "192.168.77.3" }, "spec.alt-address", "can't be changed from 192.168.77.2"},
		{"another group", func(o *epic.GWProxy) { o.Labels[epic.OwningLBServiceGroupLabel] = "b" }, "metadata.labels[epic.acnodal.io/owning-lbservicegroup]", "can't be changed"},
	}, spec...))
}

func TestGWProxyStatus(t *testing.T) {
	valid := func() *epic.GWProxy {
		o := validGWProxy()
		o.Status.GUETunnelEndpoints = map[string]epic.TunnelEndpoint{"192.168.1.16": node("192.168.1.40", 2)}
		return o
	}
	updates(t, valid, ValidateGWProxyStatusUpdate, statusCases(func(o *epic.GWProxy) *epic.ProxyStatus { return &o.Status }))
}

func listeners(n int) []gatewayv1.Listener {
	return times(n, func(i int) gatewayv1.Listener {
		return gatewayv1.Listener{Name: gatewayv1.SectionName(fmt.Sprint("l", i)), Port: int32(i + 1), Protocol: gatewayv1.TCPProtocolType}
	})
}

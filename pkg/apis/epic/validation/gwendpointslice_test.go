// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validGWEndpointSlice() *epic.GWEndpointSlice {
	return &epic.GWEndpointSlice{
		ObjectMeta: meta("epic-root", "0c7c30bb-9e5d-4be7-a7d5-9d0c3a7f24bb"),
		Spec: epic.GWEndpointSliceSpec{
			NodeAddresses: map[string]string{"node-1": "192.168.1.16"},
			AddressType:   discoveryv1.AddressTypeIPv4,
			Endpoints:     []discoveryv1.Endpoint{{Addresses: []string{"10.42.0.7"}, NodeName: ptr.To("node-1")}},
			Ports:         []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: num(8080), Protocol: ptr.To(corev1.ProtocolTCP)}},
		},
	}
}

func TestGWEndpointSlice(t *testing.T) {
	endpoint := func(f func(*discoveryv1.Endpoint)) func(*epic.GWEndpointSlice) {
		return func(o *epic.GWEndpointSlice) { f(&o.Spec.Endpoints[0]) }
	}
	slicePort := func(f func(*discoveryv1.EndpointPort)) func(*epic.GWEndpointSlice) {
		return func(o *epic.GWEndpointSlice) { f(&o.Spec.Ports[0]) }
	}
	spec := []change[epic.GWEndpointSlice]{
		{"no node name", endpoint(func(e *discoveryv1.Endpoint) { e.NodeName = nil }), "", ""},
		{"no ports", func(o *epic.GWEndpointSlice) { o.Spec.Ports = nil }, "", ""},
		{"a port of nothing", func(o *epic.GWEndpointSlice) { o.Spec.Ports = []discoveryv1.EndpointPort{{}} }, "", ""},
		{"no endpoints", func(o *epic.GWEndpointSlice) { o.Spec.Endpoints = nil }, "", ""},
		{"no nodes", func(o *epic.GWEndpointSlice) { o.Spec.NodeAddresses = nil }, "", ""},
		{"another project's kind", func(o *epic.GWEndpointSlice) { o.Spec.APIVersion, o.Spec.Kind = "discovery.k8s.io/v1", "EndpointSlice" }, "", ""},
		{"a node's name for its address", func(o *epic.GWEndpointSlice) { o.Spec.NodeAddresses["node-1"] = "node-1" }, "spec.nodeAddresses[node-1]", "must be an IP address"},
		{"a node of no name", func(o *epic.GWEndpointSlice) { o.Spec.NodeAddresses["a b"] = "192.168.1.16" }, "spec.nodeAddresses[a b]", "lowercase"},
		{"many nodes", func(o *epic.GWEndpointSlice) {
			for i := range 5001 {
				o.Spec.NodeAddresses[fmt.Sprint("n", i)] = "192.168.1.16"
			}
		}, "spec.nodeAddresses", "more than 5000"},
		{"no address type", func(o *epic.GWEndpointSlice) { o.Spec.AddressType = ""; o.Spec.Endpoints = nil }, "spec.addressType", "use one of IPv4, IPv6, FQDN"},
		{"unknown address type", func(o *epic.GWEndpointSlice) { o.Spec.AddressType = "IPX"; o.Spec.Endpoints = nil }, "spec.addressType", "use one of IPv4, IPv6, FQDN"},
		{"the other family", func(o *epic.GWEndpointSlice) { o.Spec.AddressType = discoveryv1.AddressTypeIPv6 }, "spec.endpoints[0].addresses[0]", "not of the slice's addressType"},
		{"names", func(o *epic.GWEndpointSlice) {
			o.Spec.AddressType = discoveryv1.AddressTypeFQDN
			o.Spec.Endpoints[0].Addresses = []string{"www.example.com"}
		}, "", ""},
		{"bad names", func(o *epic.GWEndpointSlice) {
			o.Spec.AddressType = discoveryv1.AddressTypeFQDN
			o.Spec.Endpoints[0].Addresses = []string{"a b"}
		}, "spec.endpoints[0].addresses[0]", "lowercase"},
		{"no address", endpoint(func(e *discoveryv1.Endpoint) { e.Addresses = nil }), "spec.endpoints[0].addresses", "Required"},
		{"loopback", endpoint(func(e *discoveryv1.Endpoint) { e.Addresses[0] = "127.0.0.1" }), "spec.endpoints[0].addresses[0]", "loopback"},
		{"101 addresses", endpoint(func(e *discoveryv1.Endpoint) {
			e.Addresses = times(101, func(i int) string { return fmt.Sprint("10.0.0.", i+1) })
		}), "spec.endpoints[0].addresses", "more than 100"},
		{"node name", endpoint(func(e *discoveryv1.Endpoint) { e.NodeName = ptr.To("a b") }), "spec.endpoints[0].nodeName", "lowercase"},
		{"hostname", endpoint(func(e *discoveryv1.Endpoint) { e.Hostname = ptr.To("a.b") }), "spec.endpoints[0].hostname", "dots"},
		{"zone", endpoint(func(e *discoveryv1.Endpoint) { e.Zone = ptr.To(long(5000)) }), "spec.endpoints[0].zone", "shorten"},
		{"1001 endpoints", func(o *epic.GWEndpointSlice) { o.Spec.Endpoints = make([]discoveryv1.Endpoint, 1001) }, "spec.endpoints", "more than 1000"},
		{"shell text", slicePort(func(p *discoveryv1.EndpointPort) { p.Protocol = ptr.To[corev1.Protocol]("TCP`reboot`") }), "spec.ports[0].protocol", "use one of TCP, UDP"},
		{"port", slicePort(func(p *discoveryv1.EndpointPort) { p.Port = num(65536) }), "spec.ports[0].port", "from 1"},
		{"port name", slicePort(func(p *discoveryv1.EndpointPort) { p.Name = ptr.To("A") }), "spec.ports[0].name", "lowercase"},
		{"appProtocol", slicePort(func(p *discoveryv1.EndpointPort) { p.AppProtocol = ptr.To("a b") }), "spec.ports[0].appProtocol", "consist of"},
		{"port name twice", func(o *epic.GWEndpointSlice) { o.Spec.Ports = append(o.Spec.Ports, o.Spec.Ports[0]) }, "spec.ports[1].name", "Duplicate"},
		{"20001 ports", func(o *epic.GWEndpointSlice) { o.Spec.Ports = make([]discoveryv1.EndpointPort, 20001) }, "spec.ports", "more than 20000"},
		{"as many ports as Kubernetes takes", func(o *epic.GWEndpointSlice) {
			o.Spec.Ports = times(20000, func(i int) discoveryv1.EndpointPort {
				return discoveryv1.EndpointPort{Name: ptr.To(fmt.Sprint("p", i))}
			})
		}, "", ""},
		{"SCTP", slicePort(func(p *discoveryv1.EndpointPort) { p.Protocol = ptr.To(corev1.ProtocolSCTP) }), "", ""},
		{"an address with zeros in front", endpoint(func(e *discoveryv1.Endpoint) { e.Addresses[0] = "010.042.0.7" }), "", ""},
		{"an IPv4 address inside an IPv6 one", endpoint(func(e *discoveryv1.Endpoint) { e.Addresses[0] = "::ffff:10.42.0.7" }), "", ""},
		{"a loopback address inside an IPv6 one", endpoint(func(e *discoveryv1.Endpoint) { e.Addresses[0] = "::ffff:127.0.0.1" }), "spec.endpoints[0].addresses[0]", "loopback"},
		{"an IPv6 address in another form", func(o *epic.GWEndpointSlice) {
			o.Spec.AddressType = discoveryv1.AddressTypeIPv6
			o.Spec.Endpoints[0].Addresses = []string{"2001:DB8:0::7"}
		}, "", ""},
		{"a zone", func(o *epic.GWEndpointSlice) {
			o.Spec.AddressType = discoveryv1.AddressTypeIPv6
			o.Spec.Endpoints[0].Addresses = []string{"2001:db8::7%eth0"}
		}, "spec.endpoints[0].addresses[0]", "zone"},
		{"a name with a dot at its end", func(o *epic.GWEndpointSlice) {
			o.Spec.AddressType = discoveryv1.AddressTypeFQDN
			o.Spec.Endpoints[0].Addresses = []string{"www.example.com."}
		}, "", ""},
		{"long parent", func(o *epic.GWEndpointSlice) { o.Spec.ParentRef.UID = long(254) }, "spec.parentRef.uid", "shorten"},
		{"long reference", func(o *epic.GWEndpointSlice) { o.Spec.ClientRef.Namespace = long(254) }, "spec.clientRef.namespace", "shorten"},
	}
	creations(t, validGWEndpointSlice, ValidateGWEndpointSlice, append([]change[epic.GWEndpointSlice]{
		{"no namespace of an account", func(o *epic.GWEndpointSlice) { o.Namespace = "epic" }, "metadata.namespace", "create it there"},
		{"bad name", func(o *epic.GWEndpointSlice) { o.Name = "a/b" }, "metadata.name", "lowercase"},
	}, spec...))
	updates(t, validGWEndpointSlice, ValidateGWEndpointSliceUpdate, spec)
	updates(t, validGWEndpointSlice, ValidateGWEndpointSliceStatusUpdate, []change[epic.GWEndpointSlice]{
		{"generation", func(o *epic.GWEndpointSlice) { o.Status.ObservedGeneration = -1 }, "status.observedGeneration", "negative"},
	})
}

// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validRemoteEndpoint() *epic.RemoteEndpoint {
	return &epic.RemoteEndpoint{
		ObjectMeta: meta("epic-root", "10-42-0-7-8080-tcp-0123456789abcdef", epic.OwningLoadBalancerLabel, "sample-acnodal"),
		Spec: epic.RemoteEndpointSpec{
			Cluster: "cluster-a", Address: "10.42.0.7", NodeAddress: "192.168.1.16",
			Port: epic.EndpointPort{Port: 8080, Protocol: "TCP", Name: "http", AppProtocol: "http"},
		},
	}
}

func TestRemoteEndpoint(t *testing.T) {
	spec := []change[epic.RemoteEndpoint]{
		{"ad hoc", func(o *epic.RemoteEndpoint) { o.Spec.NodeAddress = "" }, "", ""},
		{"IPv6", func(o *epic.RemoteEndpoint) { o.Spec.Address = "2001:db8::7" }, "", ""},
		{"UDP", func(o *epic.RemoteEndpoint) { o.Spec.Port.Protocol = "UDP" }, "", ""},
		{"no cluster", func(o *epic.RemoteEndpoint) { o.Spec.Cluster = "" }, "spec.cluster", "Required"},
		{"long cluster", func(o *epic.RemoteEndpoint) { o.Spec.Cluster = long(254) }, "spec.cluster", "shorten"},
		{"no address", func(o *epic.RemoteEndpoint) { o.Spec.Address = "" }, "spec.address", "Required"},
		{"a host name", func(o *epic.RemoteEndpoint) { o.Spec.Address = "example.com" }, "spec.address", "must be an IP address"},
		{"the proxy itself", func(o *epic.RemoteEndpoint) { o.Spec.Address = "127.0.0.1" }, "spec.address", "loopback"},
		{"a metadata service", func(o *epic.RemoteEndpoint) { o.Spec.Address = "169.254.169.254" }, "spec.address", "link-local"},
		{"a node's name", func(o *epic.RemoteEndpoint) { o.Spec.NodeAddress = "node-1" }, "spec.node-address", "must be an IP address"},
		{"port 0", func(o *epic.RemoteEndpoint) { o.Spec.Port.Port = 0 }, "spec.port.port", "from 1 to 65535"},
		{"shell text", func(o *epic.RemoteEndpoint) { o.Spec.Port.Protocol = "TCP$(reboot)" }, "spec.port.protocol", "use one of TCP, UDP"},
		{"port name", func(o *epic.RemoteEndpoint) { o.Spec.Port.Name = "A" }, "spec.port.name", "lowercase"},
	}
	creations(t, validRemoteEndpoint, ValidateRemoteEndpoint, append([]change[epic.RemoteEndpoint]{
		{"no load balancer", func(o *epic.RemoteEndpoint) { o.Labels = nil }, "metadata.labels[epic.acnodal.io/owning-loadbalancer]", "set the label"},
		{"no namespace of an account", func(o *epic.RemoteEndpoint) { o.Namespace = "epic" }, "metadata.namespace", "create it there"},
		{"bad name", func(o *epic.RemoteEndpoint) { o.Name = "a:b" }, "metadata.name", "lowercase"},
	}, spec...))
	updates(t, validRemoteEndpoint, ValidateRemoteEndpointUpdate, append([]change[epic.RemoteEndpoint]{
		{"another load balancer", func(o *epic.RemoteEndpoint) { o.Labels[epic.OwningLoadBalancerLabel] = "b" }, "metadata.labels[epic.acnodal.io/owning-loadbalancer]", "can't be changed"},
	}, spec...))
	updates(t, validRemoteEndpoint, ValidateRemoteEndpointStatusUpdate, []change[epic.RemoteEndpoint]{
		{"caches", func(o *epic.RemoteEndpoint) { o.Status.ProxyIfIndex, o.Status.TunnelID = 5, 6 }, "", ""},
		{"negative index", func(o *epic.RemoteEndpoint) { o.Status.ProxyIfIndex = -1 }, "status.proxy-ifindex", "negative"},
		{"negative ID", func(o *epic.RemoteEndpoint) { o.Status.TunnelID = -1 }, "status.tunnel-id", "negative"},
	})
}

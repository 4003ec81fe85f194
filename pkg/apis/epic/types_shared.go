// SPDX-License-Identifier: Apache-2.0

package epic

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ProxyStatus is what is running for a load balancer or a gateway proxy: its tunnels and
// its proxies' interfaces.
type ProxyStatus struct {
	// The tunnels, by the address of the client node at their far end.
	GUETunnelEndpoints map[string]TunnelEndpoint

	// The public interface of each proxy pod, by pod name.
	ProxyIfInfo map[string]ProxyInterfaceInfo

	// The index of the host's end of a proxy's public interface: that of the
	// first pod in proxy-if-info.
	ProxyIfIndex int32

	// The name of the host's end of a proxy's public interface: that of the
	// first pod in proxy-if-info.
	ProxyIfName string

	// Number of the quota slot that this proxy occupies, counted from 1.
	QuotaPlace int32

	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the controller sets on the proxy, one for each type.
	Conditions []metav1.Condition

	// The gateway node of each proxy that is no pod of the gateway cluster: the
	// node's address by the proxy's name.
	ProxyPlacements map[string]string

	// The Envoys that serve this object, as the operator sees them.
	Envoy *EnvoyStatus

	// The state of each listener of a gateway proxy.
	Listeners []GatewayListenerStatus
}

// GatewayListenerStatus is the state of one listener of a gateway proxy.
type GatewayListenerStatus struct {
	// The name of the listener in spec.gateway.listeners.
	Name string

	// The number of GWRoutes that are attached to the listener.
	AttachedRoutes int32

	// The conditions of the listener, with the types and reasons of the Gateway API.
	Conditions []metav1.Condition
}

// EnvoyStatus is the state of the Envoys of one load balancer or gateway proxy. Set by the
// operator.
type EnvoyStatus struct {
	// The generation of the spec that the Envoys are being brought to.
	ObservedGeneration int64

	// Desired number of Envoys.
	Replicas int32

	// How many of them were started from the newest image and pod template.
	UpdatedReplicas int32

	// How many of them are ready.
	ReadyReplicas int32

	// The image of the newest Envoys.
	Image string

	// What the Envoys listen on.
	Listeners []EnvoyListenerStatus

	// What an Envoy refused last.
	LastRejection *EnvoyRejection
}

// EnvoyListenerStatus is one address and port on which Envoys listen.
type EnvoyListenerStatus struct {
	// The name of the listener in Envoy's configuration and statistics.
	Name string

	// The address on which Envoy listens.
	Address string

	// The port on which Envoy listens.
	Port int32

	// The protocol of the port.
	Protocol corev1.Protocol

	// How many Envoys have accepted the newest version of the listener.
	ProgrammedReplicas int32
}

// EnvoyRejection is a resource that an Envoy rejected. The Envoy keeps the version that it
// accepted before.
type EnvoyRejection struct {
	// When the refusal arrived.
	Time metav1.Time

	// The name of the proxy that refused it.
	Proxy string

	// The type of the resource.
	Type string

	// The name of the resource.
	Resource string

	// Envoy's error message.
	Message string
}

// TunnelEndpoint is the tunnels between one client node and the gateway nodes, one tunnel
// for each gateway node that runs a proxy.
type TunnelEndpoint struct {
	// The address of a gateway node: the lowest of those in epic-endpoints.
	EPICAddress string

	// The port on which that gateway node receives tunnel traffic.
	EPICPort EndpointPort

	// The ID of the tunnel to that gateway node, from 1 to 2147483647.
	TunnelID int32

	// Every tunnel of the client node, by the address of the gateway node at
	// its near end.
	EPICEndpoints map[string]GUETunnelEndpoint
}

// GUETunnelEndpoint is the gateway's end of one tunnel.
type GUETunnelEndpoint struct {
	// The address of the gateway node.
	EPICAddress string

	// The port on which the gateway node receives tunnel traffic.
	EPICPort EndpointPort

	// The ID of the tunnel, from 1 to 2147483647.
	TunnelID int32
}

// ProxyInterfaceInfo describes the public interface of one proxy pod, as seen from the
// gateway node on which the pod runs.
type ProxyInterfaceInfo struct {
	// The address of the gateway node on which the pod runs.
	EPICNodeAddress string

	// The port on which that gateway node receives tunnel traffic.
	EPICPort EndpointPort

	// The index of the host's end of the pod's public interface.
	Index int32

	// The name of the host's end of the pod's public interface.
	Name string
}

// EndpointPort is one port on which something listens. Setting any part of it replaces the
// whole.
type EndpointPort struct {
	// The port number, from 1 to 65535.
	Port int32

	// The protocol: TCP or UDP.
	Protocol corev1.Protocol

	// A name for the port.
	Name string

	// The application protocol that is spoken on the port, such as http or
	// gue.
	AppProtocol string
}

// ServicePort is one port on which a service is published.
type ServicePort struct {
	// The port number, from 1 to 65535, on which the service is published.
	Port int32

	// The protocol: TCP or UDP.
	Protocol corev1.Protocol

	// A name for the port.
	Name string

	// The application protocol that is spoken on the port, such as http.
	AppProtocol string

	// The port of the tenant's pods, as a number or a name, as the tenant's
	// Service has it.
	TargetPort *intstr.IntOrString

	// The port of the client nodes, as the tenant's Service has it.
	NodePort int32
}

// ClientRef names the object in a client cluster that an object represents.
type ClientRef struct {
	// The ID of the tenant's cluster.
	ClusterID string

	// The namespace of the object in that cluster.
	Namespace string

	// The name of the object in that cluster.
	Name string

	// The uid of the object in that cluster.
	UID string
}

// DNSEndpoint is one DNS record, in the format that external-dns reads.
type DNSEndpoint struct {
	// The name of the record.
	DNSName string

	// What the record points to: addresses, or another name.
	Targets []string

	// The type of the record, such as A or AAAA.
	RecordType string

	// What distinguishes this record from others of the same name and type.
	SetIdentifier string

	// The time to live of the record, in seconds.
	RecordTTL int64

	// Labels that external-dns stores next to the record.
	Labels map[string]string

	// Settings for the DNS provider that hosts the record.
	ProviderSpecific []ProviderSpecificProperty
}

// ProviderSpecificProperty is one setting for a DNS provider.
type ProviderSpecificProperty struct {
	// The name of the setting.
	Name string

	// The value of the setting.
	Value string
}

// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ProxyStatus is what is running for a load balancer or a gateway proxy: its tunnels and
// its proxies' interfaces.
type ProxyStatus struct {
	// Tunnels, by the address of the client node at their far end. The controller and the
	// node programs add and remove entries; the server assigns each entry's tunnel-id.
	// +optional
	GUETunnelEndpoints map[string]TunnelEndpoint `json:"gue-tunnel-endpoints,omitempty" protobuf:"bytes,1,opt,name=gueTunnelEndpoints"`

	// Public interface of each proxy pod, by pod name. Set by the node program of the node
	// on which the pod runs. The server accepts an entry from a gateway node only for a
	// proxy that runs on that node: a pod with the labels of this object's proxies, or a
	// proxy in proxy-placements.
	// +optional
	ProxyIfInfo map[string]ProxyInterfaceInfo `json:"proxy-if-info,omitempty" protobuf:"bytes,2,opt,name=proxyIfInfo"`

	// Index of the host end of a proxy's public interface, from the first pod in
	// proxy-if-info.
	// +optional
	ProxyIfIndex int32 `json:"proxy-ifindex,omitempty" protobuf:"varint,3,opt,name=proxyIfindex"`

	// Name of the host end of a proxy's public interface, from the first pod in
	// proxy-if-info.
	// +optional
	ProxyIfName string `json:"proxy-ifname,omitempty" protobuf:"bytes,4,opt,name=proxyIfname"`

	// Number of the quota slot that this proxy occupies, counted from 1. The account's
	// proxyLimit determines how many slots there are. The server assigns it when the object
	// is created and releases it when the object is deleted.
	// +optional
	QuotaPlace int32 `json:"quota-place,omitempty" protobuf:"varint,5,opt,name=quotaPlace"`

	// The generation of the spec that this status describes. If it is lower than
	// metadata.generation, the controller has not processed the latest change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,6,opt,name=observedGeneration"`

	// Conditions that the controller sets on the proxy, one per type. An update that omits
	// this field keeps the existing conditions; an empty list removes them.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,7,opt,name=conditions"`

	// Gateway node of each proxy that is not a pod of the gateway cluster, as with a server
	// in standalone mode: the address of the node, by the proxy's name in proxy-if-info. An
	// administrator, or the program that starts the proxy, sets it; a gateway node can't.
	// An entry takes precedence over a pod of the same name.
	// +optional
	ProxyPlacements map[string]string `json:"proxy-placements,omitempty" protobuf:"bytes,8,rep,name=proxyPlacements"`

	// The Envoys that serve this object, as observed by the operator. Absent until the
	// operator has observed the object.
	// +optional
	Envoy *EnvoyStatus `json:"envoy,omitempty" protobuf:"bytes,9,opt,name=envoy"`

	// State of each listener in spec.gateway of a gateway proxy, by name. Set by the
	// operator. Always empty on load balancers, which use envoy.listeners.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +patchMergeKey=name
	// +patchStrategy=merge
	Listeners []GatewayListenerStatus `json:"listeners,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,10,rep,name=listeners"`
}

// GatewayListenerStatus is the state of one listener of a gateway proxy.
type GatewayListenerStatus struct {
	// Name of the listener in spec.gateway.listeners.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// Number of GWRoutes attached to the listener.
	// +optional
	AttachedRoutes int32 `json:"attachedRoutes" protobuf:"varint,2,opt,name=attachedRoutes"`

	// Conditions of the listener, with the types and reasons of the Gateway API: Accepted,
	// ResolvedRefs, Conflicted and Programmed. Programmed is True once Envoys have accepted
	// the listener. Their observedGeneration is that of the gateway proxy.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,3,rep,name=conditions"`
}

// EnvoyStatus is the state of the Envoys of one load balancer or gateway proxy. Set by the
// operator.
type EnvoyStatus struct {
	// The generation of the spec that the operator is rolling out to the Envoys.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// Desired number of Envoys.
	// +optional
	Replicas int32 `json:"replicas" protobuf:"varint,2,opt,name=replicas"`

	// Number of Envoys that run the newest image and pod template.
	// +optional
	UpdatedReplicas int32 `json:"updatedReplicas" protobuf:"varint,3,opt,name=updatedReplicas"`

	// Number of Envoys that are ready: they have accepted a configuration and serve
	// requests.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas" protobuf:"varint,4,opt,name=readyReplicas"`

	// Image of the newest Envoys. Absent if Envoys do not run in containers.
	// +optional
	Image string `json:"image,omitempty" protobuf:"bytes,5,opt,name=image"`

	// Addresses and ports on which the Envoys listen.
	// +optional
	// +listType=atomic
	Listeners []EnvoyListenerStatus `json:"listeners,omitempty" protobuf:"bytes,6,rep,name=listeners"`

	// The most recent resource that an Envoy rejected. It is removed when the Envoy accepts
	// the resource.
	// +optional
	LastRejection *EnvoyRejection `json:"lastRejection,omitempty" protobuf:"bytes,7,opt,name=lastRejection"`
}

// EnvoyListenerStatus is one address and port on which Envoys listen.
type EnvoyListenerStatus struct {
	// Name of the listener in Envoy's configuration and statistics.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// Address on which Envoy listens.
	// +optional
	Address string `json:"address,omitempty" protobuf:"bytes,2,opt,name=address"`

	// Port on which Envoy listens.
	// +optional
	Port int32 `json:"port,omitempty" protobuf:"varint,3,opt,name=port"`

	// Protocol of the port: TCP or UDP.
	// +optional
	Protocol corev1.Protocol `json:"protocol,omitempty" protobuf:"bytes,4,opt,name=protocol,casttype=k8s.io/api/core/v1.Protocol"`

	// Number of Envoys that have accepted the newest version of the listener.
	// +optional
	ProgrammedReplicas int32 `json:"programmedReplicas" protobuf:"varint,5,opt,name=programmedReplicas"`
}

// EnvoyRejection is a resource that an Envoy rejected. The Envoy keeps the version that it
// accepted before.
type EnvoyRejection struct {
	// When the operator received the rejection.
	// +optional
	Time metav1.Time `json:"time,omitempty,omitzero" protobuf:"bytes,1,opt,name=time"`

	// Name of the proxy whose Envoy rejected the resource.
	// +optional
	Proxy string `json:"proxy,omitempty" protobuf:"bytes,2,opt,name=proxy"`

	// Type of the resource, such as listener or route.
	// +optional
	Type string `json:"type,omitempty" protobuf:"bytes,3,opt,name=type"`

	// Name of the resource.
	// +optional
	Resource string `json:"resource,omitempty" protobuf:"bytes,4,opt,name=resource"`

	// Envoy's error message.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,5,opt,name=message"`
}

// TunnelEndpoint is the tunnels between one client node and the gateway nodes, one tunnel
// for each gateway node that runs a proxy.
type TunnelEndpoint struct {
	// Address of a gateway node: the lowest of those in epic-endpoints.
	// +optional
	EPICAddress string `json:"epic-address,omitempty" protobuf:"bytes,1,opt,name=epicAddress"`

	// Port on which that gateway node receives tunnel traffic. Default: UDP port 6080.
	// +optional
	EPICPort EndpointPort `json:"epic-port,omitempty" protobuf:"bytes,2,opt,name=epicPort"`

	// ID of the tunnel to that gateway node, from 1 to 2147483647, unique in the
	// installation. Set by the server.
	// +optional
	TunnelID int32 `json:"tunnel-id,omitempty" protobuf:"varint,3,opt,name=tunnelId"`

	// All tunnels of the client node, by the address of the gateway node at their near end.
	// +optional
	EPICEndpoints map[string]GUETunnelEndpoint `json:"epic-endpoints,omitempty" protobuf:"bytes,4,opt,name=epicEndpoints"`
}

// EPICEndpointMap is the tunnels between one client node and the gateway nodes, as shown in
// a spec.
type EPICEndpointMap struct {
	// Tunnels of the client node, by the address of the gateway node at their near end.
	// +optional
	EPICEndpoints map[string]GUETunnelEndpoint `json:"epic-endpoints,omitempty" protobuf:"bytes,1,opt,name=epicEndpoints"`
}

// GUETunnelEndpoint is the near end of one tunnel.
type GUETunnelEndpoint struct {
	// Address of the gateway node.
	// +optional
	EPICAddress string `json:"epic-address,omitempty" protobuf:"bytes,1,opt,name=epicAddress"`

	// Port on which the gateway node receives tunnel traffic. Default: UDP port 6080.
	// +optional
	EPICPort EndpointPort `json:"epic-port,omitempty" protobuf:"bytes,2,opt,name=epicPort"`

	// ID of the tunnel, from 1 to 2147483647, unique in the installation. The server
	// assigns it. Clients must leave it out or send the value that they received.
	// +optional
	TunnelID int32 `json:"tunnel-id,omitempty" protobuf:"varint,3,opt,name=tunnelId"`
}

// ProxyInterfaceInfo describes the public interface of one proxy pod, as seen from the
// gateway node on which the pod runs.
type ProxyInterfaceInfo struct {
	// Address of the gateway node on which the pod runs.
	// +optional
	EPICNodeAddress string `json:"epic-node-address,omitempty" protobuf:"bytes,1,opt,name=epicNodeAddress"`

	// Port on which that gateway node receives tunnel traffic. Default: UDP port 6080.
	// +optional
	EPICPort EndpointPort `json:"epic-port,omitempty" protobuf:"bytes,2,opt,name=epicPort"`

	// Index of the host end of the pod's public interface.
	// +optional
	Index int32 `json:"index,omitempty" protobuf:"varint,3,opt,name=index"`

	// Name of the host end of the pod's public interface.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,4,opt,name=name"`
}

// EndpointPort is one port on which something listens. Setting any part of it replaces the
// whole.
// +structType=atomic
type EndpointPort struct {
	// Port number, from 1 to 65535.
	Port int32 `json:"port" protobuf:"varint,1,opt,name=port"`

	// Protocol of the port: TCP or UDP. Default: UDP in an epic-port, which carries
	// tunnels, and TCP everywhere else.
	// +optional
	// +default="TCP"
	Protocol corev1.Protocol `json:"protocol,omitempty" protobuf:"bytes,2,opt,name=protocol,casttype=k8s.io/api/core/v1.Protocol"`

	// Name of the port.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,3,opt,name=name"`

	// Application protocol of the port, such as http or gue.
	// +optional
	AppProtocol string `json:"appProtocol,omitempty" protobuf:"bytes,4,opt,name=appProtocol"`
}

// ServicePort is one port on which a service is published.
type ServicePort struct {
	// Port number on which the service is published, from 1 to 65535.
	Port int32 `json:"port" protobuf:"varint,1,opt,name=port"`

	// Protocol of the port: TCP or UDP. Default: TCP.
	// +optional
	// +default="TCP"
	Protocol corev1.Protocol `json:"protocol,omitempty" protobuf:"bytes,2,opt,name=protocol,casttype=k8s.io/api/core/v1.Protocol"`

	// Name of the port: lowercase letters, digits, dashes and dots, at most 253 characters,
	// like the name of a Gateway listener.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,3,opt,name=name"`

	// Application protocol of the port, such as http.
	// +optional
	AppProtocol string `json:"appProtocol,omitempty" protobuf:"bytes,4,opt,name=appProtocol"`

	// Port of the tenant's pods, as a number or a name, from the tenant's Service. It is
	// informational: requests go to the ports of the endpoints.
	// +optional
	TargetPort *intstr.IntOrString `json:"targetPort,omitempty" protobuf:"bytes,5,opt,name=targetPort"`

	// Port of the client nodes, from the tenant's Service. It is informational: requests
	// do not pass through it.
	// +optional
	NodePort int32 `json:"nodePort,omitempty" protobuf:"varint,6,opt,name=nodePort"`
}

// ClientRef names the object in a client cluster that an object represents.
type ClientRef struct {
	// ID of the client cluster.
	// +optional
	ClusterID string `json:"clusterID,omitempty" protobuf:"bytes,1,opt,name=clusterID"`

	// Namespace of the object in that cluster.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,2,opt,name=namespace"`

	// Name of the object in that cluster.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,3,opt,name=name"`

	// UID of the object in that cluster.
	// +optional
	UID string `json:"uid,omitempty" protobuf:"bytes,4,opt,name=uid"`
}

// DNSEndpoint is one DNS record, in the format that external-dns reads.
type DNSEndpoint struct {
	// Name of the record. In a group's endpoint-template, a Go template that renders the
	// name.
	// +optional
	DNSName string `json:"dnsName,omitempty" protobuf:"bytes,1,opt,name=dnsName"`

	// Targets of the record: addresses or another name. The server appends the public
	// address.
	// +optional
	// +listType=atomic
	Targets []string `json:"targets,omitempty" protobuf:"bytes,2,rep,name=targets"`

	// Type of the record, such as A or AAAA.
	// +optional
	RecordType string `json:"recordType,omitempty" protobuf:"bytes,3,opt,name=recordType"`

	// Distinguishes this record from others with the same name and type.
	// +optional
	SetIdentifier string `json:"setIdentifier,omitempty" protobuf:"bytes,4,opt,name=setIdentifier"`

	// Time to live of the record, in seconds.
	// +optional
	RecordTTL int64 `json:"recordTTL,omitempty" protobuf:"varint,5,opt,name=recordTTL"`

	// Labels that external-dns stores with the record.
	// +optional
	Labels map[string]string `json:"labels,omitempty" protobuf:"bytes,6,rep,name=labels"`

	// Settings for the DNS provider that hosts the record.
	// +optional
	// +listType=atomic
	ProviderSpecific []ProviderSpecificProperty `json:"providerSpecific,omitempty" protobuf:"bytes,7,rep,name=providerSpecific"`
}

// ProviderSpecificProperty is one setting for a DNS provider.
type ProviderSpecificProperty struct {
	// Name of the setting.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"`

	// Value of the setting.
	// +optional
	Value string `json:"value,omitempty" protobuf:"bytes,2,opt,name=value"`
}

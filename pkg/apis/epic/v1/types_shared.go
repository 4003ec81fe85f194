// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// ProxyStatus is what runs for a load balancer or a gateway proxy: its tunnels
// and its proxies' interfaces.
type ProxyStatus struct {
	// The tunnels, by the address of the tenant's node at their far end. The
	// controller and the node programs add and remove entries; the server gives
	// each of them its tunnel-id.
	// +optional
	GUETunnelEndpoints map[string]TunnelEndpoint `json:"gue-tunnel-endpoints,omitempty" protobuf:"bytes,1,opt,name=gueTunnelEndpoints"`

	// The public interface of each proxy pod, by pod name. The node program of
	// the node on which the pod runs sets it. The server accepts an entry from a
	// gateway node only for a proxy that runs on that node: a pod with the labels
	// of this object's proxies, or a proxy in proxy-placements.
	// +optional
	ProxyIfInfo map[string]ProxyInterfaceInfo `json:"proxy-if-info,omitempty" protobuf:"bytes,2,opt,name=proxyIfInfo"`

	// The index of the host's end of a proxy's public interface: that of the
	// first pod in proxy-if-info.
	// +optional
	ProxyIfIndex int32 `json:"proxy-ifindex,omitempty" protobuf:"varint,3,opt,name=proxyIfindex"`

	// The name of the host's end of a proxy's public interface: that of the
	// first pod in proxy-if-info.
	// +optional
	ProxyIfName string `json:"proxy-ifname,omitempty" protobuf:"bytes,4,opt,name=proxyIfname"`

	// Which of the places that the account's proxyLimit allows this proxy takes,
	// counted from 1. The server assigns it when the object is created, and a
	// place is free again when its object is gone.
	// +optional
	QuotaPlace int32 `json:"quota-place,omitempty" protobuf:"varint,5,opt,name=quotaPlace"`

	// The generation of the spec that this status describes. When it is lower
	// than metadata.generation the controller has not seen the last change yet.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,6,opt,name=observedGeneration"`

	// Conditions that the controller sets on the proxy, one for each type. A write
	// that leaves this out keeps what is there; an empty list removes it.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,7,opt,name=conditions"`

	// The gateway node of each proxy that is not a pod of the gateway cluster, as
	// on a server in standalone mode: the address of the node by the name that the
	// proxy has in proxy-if-info. An administrator, or the program that starts the
	// proxy, sets it; a gateway node can't. A proxy that is listed here runs where
	// the list says, whatever pods exist.
	// +optional
	ProxyPlacements map[string]string `json:"proxy-placements,omitempty" protobuf:"bytes,8,rep,name=proxyPlacements"`

	// The Envoys that serve this object, as the operator sees them. Absent until
	// the operator has seen the object.
	// +optional
	Envoy *EnvoyStatus `json:"envoy,omitempty" protobuf:"bytes,9,opt,name=envoy"`

	// The state of each listener in spec.gateway of a gateway proxy, by its name.
	// The operator writes it. Load balancers have none: see envoy.listeners.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +patchMergeKey=name
	// +patchStrategy=merge
	Listeners []GatewayListenerStatus `json:"listeners,omitempty" patchStrategy:"merge" patchMergeKey:"name" protobuf:"bytes,10,rep,name=listeners"`
}

// GatewayListenerStatus is the state of one listener of a gateway proxy.
type GatewayListenerStatus struct {
	// The name of the listener in spec.gateway.listeners.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// The number of GWRoutes that are attached to the listener.
	// +optional
	AttachedRoutes int32 `json:"attachedRoutes" protobuf:"varint,2,opt,name=attachedRoutes"`

	// The conditions of the listener, with the types and reasons of the Gateway
	// API: Accepted, ResolvedRefs, Conflicted and Programmed. Programmed is True
	// once Envoys have accepted the listener. Its observedGeneration is that of
	// the gateway proxy.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +patchMergeKey=type
	// +patchStrategy=merge
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type" protobuf:"bytes,3,rep,name=conditions"`
}

// EnvoyStatus is the progress of the Envoys of one load balancer or gateway
// proxy. The operator writes it.
type EnvoyStatus struct {
	// The generation of the spec that the Envoys are being brought to.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty" protobuf:"varint,1,opt,name=observedGeneration"`

	// How many Envoys should run.
	// +optional
	Replicas int32 `json:"replicas" protobuf:"varint,2,opt,name=replicas"`

	// How many of them were started from the newest image and pod template.
	// +optional
	UpdatedReplicas int32 `json:"updatedReplicas" protobuf:"varint,3,opt,name=updatedReplicas"`

	// How many of them are ready: they have accepted a configuration, and serve.
	// +optional
	ReadyReplicas int32 `json:"readyReplicas" protobuf:"varint,4,opt,name=readyReplicas"`

	// The image of the newest Envoys; absent where they are no containers.
	// +optional
	Image string `json:"image,omitempty" protobuf:"bytes,5,opt,name=image"`

	// What the Envoys listen on.
	// +optional
	// +listType=atomic
	Listeners []EnvoyListenerStatus `json:"listeners,omitempty" protobuf:"bytes,6,rep,name=listeners"`

	// What an Envoy refused last. It stays until the Envoy accepts the resource.
	// +optional
	LastRejection *EnvoyRejection `json:"lastRejection,omitempty" protobuf:"bytes,7,opt,name=lastRejection"`
}

// EnvoyListenerStatus is one address and port on which Envoys listen.
type EnvoyListenerStatus struct {
	// The name of the listener in Envoy's configuration and statistics.
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// The address on which Envoy listens.
	// +optional
	Address string `json:"address,omitempty" protobuf:"bytes,2,opt,name=address"`

	// The port on which Envoy listens.
	// +optional
	Port int32 `json:"port,omitempty" protobuf:"varint,3,opt,name=port"`

	// The protocol of the port: TCP or UDP.
	// +optional
	Protocol corev1.Protocol `json:"protocol,omitempty" protobuf:"bytes,4,opt,name=protocol,casttype=k8s.io/api/core/v1.Protocol"`

	// How many Envoys have accepted the newest version of the listener.
	// +optional
	ProgrammedReplicas int32 `json:"programmedReplicas" protobuf:"varint,5,opt,name=programmedReplicas"`
}

// EnvoyRejection is a part of a configuration that an Envoy refused. The Envoy
// keeps the version that it accepted before.
type EnvoyRejection struct {
	// When the refusal arrived.
	// +optional
	Time metav1.Time `json:"time,omitempty,omitzero" protobuf:"bytes,1,opt,name=time"`

	// The name of the proxy that refused it.
	// +optional
	Proxy string `json:"proxy,omitempty" protobuf:"bytes,2,opt,name=proxy"`

	// The type of the resource, such as listener or route.
	// +optional
	Type string `json:"type,omitempty" protobuf:"bytes,3,opt,name=type"`

	// The name of the resource.
	// +optional
	Resource string `json:"resource,omitempty" protobuf:"bytes,4,opt,name=resource"`

	// Envoy's error message.
	// +optional
	Message string `json:"message,omitempty" protobuf:"bytes,5,opt,name=message"`
}

// TunnelEndpoint is the tunnels between one of the tenant's nodes and the
// gateway's nodes: there is one to each gateway node that runs a proxy.
type TunnelEndpoint struct {
	// The address of a gateway node: the lowest of those in epic-endpoints.
	// +optional
	EPICAddress string `json:"epic-address,omitempty" protobuf:"bytes,1,opt,name=epicAddress"`

	// The port on which that gateway node receives tunnel traffic.
	// Default: UDP port 6080.
	// +optional
	EPICPort EndpointPort `json:"epic-port,omitempty" protobuf:"bytes,2,opt,name=epicPort"`

	// The ID of the tunnel to that gateway node, from 1 to 2147483647. No two
	// tunnels of the installation have the same. Set by the server.
	// +optional
	TunnelID int32 `json:"tunnel-id,omitempty" protobuf:"varint,3,opt,name=tunnelId"`

	// Every tunnel of the tenant's node, by the address of the gateway node at
	// its near end.
	// +optional
	EPICEndpoints map[string]GUETunnelEndpoint `json:"epic-endpoints,omitempty" protobuf:"bytes,4,opt,name=epicEndpoints"`
}

// EPICEndpointMap is the tunnels between one of the tenant's nodes and the
// gateway's nodes, in the form in which a spec shows them.
type EPICEndpointMap struct {
	// The tunnels of the tenant's node, by the address of the gateway node at
	// their near end.
	// +optional
	EPICEndpoints map[string]GUETunnelEndpoint `json:"epic-endpoints,omitempty" protobuf:"bytes,1,opt,name=epicEndpoints"`
}

// GUETunnelEndpoint is the near end of one tunnel.
type GUETunnelEndpoint struct {
	// The address of the gateway node.
	// +optional
	EPICAddress string `json:"epic-address,omitempty" protobuf:"bytes,1,opt,name=epicAddress"`

	// The port on which the gateway node receives tunnel traffic.
	// Default: UDP port 6080.
	// +optional
	EPICPort EndpointPort `json:"epic-port,omitempty" protobuf:"bytes,2,opt,name=epicPort"`

	// The ID of the tunnel, from 1 to 2147483647. No two tunnels of the
	// installation have the same. The server assigns it; a client leaves it out,
	// or sends back the value it was given.
	// +optional
	TunnelID int32 `json:"tunnel-id,omitempty" protobuf:"varint,3,opt,name=tunnelId"`
}

// ProxyInterfaceInfo is the public interface of one proxy pod, seen from the
// gateway node on which the pod runs.
type ProxyInterfaceInfo struct {
	// The address of the gateway node on which the pod runs.
	// +optional
	EPICNodeAddress string `json:"epic-node-address,omitempty" protobuf:"bytes,1,opt,name=epicNodeAddress"`

	// The port on which that gateway node receives tunnel traffic.
	// Default: UDP port 6080.
	// +optional
	EPICPort EndpointPort `json:"epic-port,omitempty" protobuf:"bytes,2,opt,name=epicPort"`

	// The index of the host's end of the pod's public interface.
	// +optional
	Index int32 `json:"index,omitempty" protobuf:"varint,3,opt,name=index"`

	// The name of the host's end of the pod's public interface.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,4,opt,name=name"`
}

// EndpointPort is one port at which something listens. Setting any part of it
// sets the whole.
// +structType=atomic
type EndpointPort struct {
	// The port number, from 1 to 65535.
	Port int32 `json:"port" protobuf:"varint,1,opt,name=port"`

	// The protocol: TCP or UDP. Default: UDP in an epic-port, which
	// carries tunnels, and TCP everywhere else.
	// +optional
	// +default="TCP"
	Protocol corev1.Protocol `json:"protocol,omitempty" protobuf:"bytes,2,opt,name=protocol,casttype=k8s.io/api/core/v1.Protocol"`

	// A name for the port.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,3,opt,name=name"`

	// The application protocol that is spoken on the port, such as http or gue.
	// +optional
	AppProtocol string `json:"appProtocol,omitempty" protobuf:"bytes,4,opt,name=appProtocol"`
}

// ServicePort is one port on which a service is published.
type ServicePort struct {
	// The port number, from 1 to 65535, on which the service is published.
	Port int32 `json:"port" protobuf:"varint,1,opt,name=port"`

	// The protocol: TCP or UDP. Default: TCP.
	// +optional
	// +default="TCP"
	Protocol corev1.Protocol `json:"protocol,omitempty" protobuf:"bytes,2,opt,name=protocol,casttype=k8s.io/api/core/v1.Protocol"`

	// A name for the port: lower case letters, digits, dashes and dots, at most
	// 253 characters, as the name of a Gateway's listener.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,3,opt,name=name"`

	// The application protocol that is spoken on the port, such as http.
	// +optional
	AppProtocol string `json:"appProtocol,omitempty" protobuf:"bytes,4,opt,name=appProtocol"`

	// The port of the tenant's pods, as a number or a name, as the tenant's
	// Service has it. It is kept for the tenant's sake: requests go to the ports
	// that the endpoints give.
	// +optional
	TargetPort *intstr.IntOrString `json:"targetPort,omitempty" protobuf:"bytes,5,opt,name=targetPort"`

	// The port of the tenant's nodes, as the tenant's Service has it. It is kept
	// for the tenant's sake: requests do not pass through it.
	// +optional
	NodePort int32 `json:"nodePort,omitempty" protobuf:"varint,6,opt,name=nodePort"`
}

// ClientRef says which object of a tenant's cluster an object here stands for.
type ClientRef struct {
	// The ID of the tenant's cluster.
	// +optional
	ClusterID string `json:"clusterID,omitempty" protobuf:"bytes,1,opt,name=clusterID"`

	// The namespace of the object in that cluster.
	// +optional
	Namespace string `json:"namespace,omitempty" protobuf:"bytes,2,opt,name=namespace"`

	// The name of the object in that cluster.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,3,opt,name=name"`

	// The uid of the object in that cluster.
	// +optional
	UID string `json:"uid,omitempty" protobuf:"bytes,4,opt,name=uid"`
}

// DNSEndpoint is one DNS record, in the form that external-dns reads.
type DNSEndpoint struct {
	// The name of the record. In a group's endpoint-template, a Go template from
	// which the name is made.
	// +optional
	DNSName string `json:"dnsName,omitempty" protobuf:"bytes,1,opt,name=dnsName"`

	// What the record points to: addresses, or another name. The server appends
	// the public address.
	// +optional
	// +listType=atomic
	Targets []string `json:"targets,omitempty" protobuf:"bytes,2,rep,name=targets"`

	// The type of the record, such as A or AAAA.
	// +optional
	RecordType string `json:"recordType,omitempty" protobuf:"bytes,3,opt,name=recordType"`

	// What distinguishes this record from others of the same name and type.
	// +optional
	SetIdentifier string `json:"setIdentifier,omitempty" protobuf:"bytes,4,opt,name=setIdentifier"`

	// The time to live of the record, in seconds.
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
	// The name of the setting.
	// +optional
	Name string `json:"name,omitempty" protobuf:"bytes,1,opt,name=name"`

	// The value of the setting.
	// +optional
	Value string `json:"value,omitempty" protobuf:"bytes,2,opt,name=value"`
}

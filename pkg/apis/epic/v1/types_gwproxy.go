// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +genclient:method=GetTunnelKeys,verb=get,subresource=tunnelkeys,result=github.com/acnodal/epic/pkg/apis/epic/v1.TunnelKeys
// +resourceName=gwproxies
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWProxy publishes one Gateway of a client cluster on a public address. EPIC runs Envoy
// pods for it and sends each request through a tunnel to an endpoint that its GWRoute and
// GWEndpointSlice objects lead to. Its label epic.acnodal.io/owning-lbservicegroup names
// the service group.
type GWProxy struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is an account's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// What the tenant requests.
	Spec GWProxySpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// What is running for this proxy: its tunnels and its pods' interfaces.
	// +optional
	Status ProxyStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// GWProxySpec is what a tenant requests of a gateway proxy.
type GWProxySpec struct {
	// The Gateway in the client cluster that this proxy represents.
	// +optional
	ClientRef ClientRef `json:"clientRef,omitempty" protobuf:"bytes,1,opt,name=clientRef"`

	// Human-readable name of the tenant's service. DNS names and Envoy templates use it.
	// +optional
	DisplayName string `json:"display-name,omitempty" protobuf:"bytes,2,opt,name=displayName"`

	// Address on which the service is published. Request one that is free in the group's
	// pool, or leave it out and the server assigns one. It never changes once it is
	// assigned.
	// +optional
	PublicAddress string `json:"public-address,omitempty" protobuf:"bytes,3,opt,name=publicAddress"`

	// An IPv4 address in addition to an IPv6 public address. The server assigns it if the
	// group's prefix has an alternate pool. A gateway proxy that was created before the
	// prefix had one may request an address of it later. It never changes once it is set.
	// +optional
	AltAddress string `json:"alt-address,omitempty" protobuf:"bytes,4,opt,name=altAddress"`

	// Ports on which the service is published, usually one per listener of the Gateway,
	// with the listener's name. A port number and protocol may appear several times under
	// different names, as in a Gateway with several HTTPS listeners on port 443; the proxy
	// listens once for all of them. The list is replaced as a whole.
	// +optional
	// +listType=atomic
	PublicPorts []ServicePort `json:"public-ports,omitempty" protobuf:"bytes,5,opt,name=publicPorts"`

	// Envoy configuration of this proxy, in templates. Default: a copy of the group's.
	// +optional
	EnvoyTemplate *EnvoyConfigSpec `json:"envoy-template,omitempty" protobuf:"bytes,6,opt,name=envoyTemplate"`

	// Number of Envoy pods that run for this proxy. Default: a copy of the group's number.
	// +optional
	EnvoyReplicaCount *int32 `json:"envoy-replica-count,omitempty" protobuf:"varint,7,opt,name=envoyReplicaCount"`

	// Read-only copy of the tunnels in status.gue-tunnel-endpoints, by client node, for
	// clients that read them here. Writes to this field are ignored and do not change the
	// generation.
	// +optional
	GUETunnelEndpoints map[string]EPICEndpointMap `json:"gue-tunnel-endpoints,omitempty" protobuf:"bytes,8,opt,name=gueTunnelEndpoints"`

	// Read-only copy of status.proxy-if-info, by proxy pod, for clients that read it here.
	// Writes to this field are ignored and do not change the generation.
	// +optional
	ProxyIfInfo map[string]ProxyInterfaceInfo `json:"proxy-if-info,omitempty" protobuf:"bytes,9,opt,name=proxyIfInfo"`

	// DNS records of the service, one per address. Leave them out: the server creates them
	// from the group's endpoint-template, and again when the display name or an address
	// changes. No two accounts can have the same DNS name.
	// +optional
	// +listType=atomic
	Endpoints []DNSEndpoint `json:"endpoints,omitempty" protobuf:"bytes,10,opt,name=endpoints"`

	// The spec of the Gateway. An empty class name is set to compatibility. A Gateway
	// without listeners gets one named compatibility, for HTTP on the first public port. So
	// does a proxy that has public ports and no Gateway.
	// +optional
	Gateway *GatewaySpec `json:"gateway,omitempty" protobuf:"bytes,11,opt,name=gateway"`

	// Settings of this gateway proxy's Envoys that differ from the group's edge. Only the
	// parts in the group's edge-overrides can be set here, except that limits can always be
	// lowered.
	// +optional
	Edge *EdgeSpec `json:"edge,omitempty" protobuf:"bytes,12,opt,name=edge"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWProxyList is a list of GWProxy objects.
type GWProxyList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []GWProxy `json:"items" protobuf:"bytes,2,rep,name=items"`
}

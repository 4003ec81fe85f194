// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +genclient:method=GetTunnelKeys,verb=get,subresource=tunnelkeys,result=github.com/acnodal/epic/pkg/apis/epic/v1.TunnelKeys
// +resourceName=gwproxies
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// GWProxy publishes one Gateway of a tenant's cluster on a public address. EPIC
// runs Envoy pods for it and carries each request through a tunnel to the
// endpoints that GWRoute and GWEndpointSlice objects lead to. Its label
// epic.acnodal.io/owning-lbservicegroup names the service group.
type GWProxy struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is an account's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// What the tenant asks for.
	Spec GWProxySpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// What runs for this proxy: its tunnels and its pods' interfaces.
	// +optional
	Status ProxyStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// GWProxySpec is what a tenant asks of a gateway proxy.
type GWProxySpec struct {
	// The Gateway in the tenant's cluster that this proxy stands for.
	// +optional
	ClientRef ClientRef `json:"clientRef,omitempty" protobuf:"bytes,1,opt,name=clientRef"`

	// The name of the tenant's service, as people know it. DNS names and Envoy
	// templates are made with it.
	// +optional
	DisplayName string `json:"display-name,omitempty" protobuf:"bytes,2,opt,name=displayName"`

	// The address on which the service is published. Ask for one that is free in
	// the group's pool, or leave it out and the server assigns one. Once
	// assigned it never changes.
	// +optional
	PublicAddress string `json:"public-address,omitempty" protobuf:"bytes,3,opt,name=publicAddress"`

	// An IPv4 address next to a public address that is an IPv6 one. The server
	// assigns it when the group's prefix has an alternate pool. A gateway proxy
	// that was created before there was one may ask for an address of it later.
	// Once set, it never changes.
	// +optional
	AltAddress string `json:"alt-address,omitempty" protobuf:"bytes,4,opt,name=altAddress"`

	// The ports on which the service is published, usually one for each listener
	// of the Gateway and named after it. A port number and protocol may appear
	// several times under different names, as in a Gateway with several HTTPS
	// listeners on port 443; the proxy listens once for all of them. The list is
	// written as a whole.
	// +optional
	// +listType=atomic
	PublicPorts []ServicePort `json:"public-ports,omitempty" protobuf:"bytes,5,opt,name=publicPorts"`

	// The Envoy configuration of this proxy, in templates. The server copies the
	// group's when it is left out.
	// +optional
	EnvoyTemplate *EnvoyConfigSpec `json:"envoy-template,omitempty" protobuf:"bytes,6,opt,name=envoyTemplate"`

	// How many Envoy pods run for this proxy. The server copies the group's
	// number when it is left out.
	// +optional
	EnvoyReplicaCount *int32 `json:"envoy-replica-count,omitempty" protobuf:"varint,7,opt,name=envoyReplicaCount"`

	// A read-only copy of the tunnels in status.gue-tunnel-endpoints, by tenant
	// node, for programs that read them here. Whatever a client writes here
	// is ignored, and no generation counts it.
	// +optional
	GUETunnelEndpoints map[string]EPICEndpointMap `json:"gue-tunnel-endpoints,omitempty" protobuf:"bytes,8,opt,name=gueTunnelEndpoints"`

	// A read-only copy of status.proxy-if-info, by proxy pod, for programs that
	// read it here. Whatever a client writes here is ignored, and no
	// generation counts it.
	// +optional
	ProxyIfInfo map[string]ProxyInterfaceInfo `json:"proxy-if-info,omitempty" protobuf:"bytes,9,opt,name=proxyIfInfo"`

	// The DNS records of the service, one for each address. The server makes them
	// from the group's endpoint-template, and again when the display name or an
	// address changes. No two accounts have the same DNS name. Leave them out.
	// +optional
	// +listType=atomic
	Endpoints []DNSEndpoint `json:"endpoints,omitempty" protobuf:"bytes,10,opt,name=endpoints"`

	// The spec of the tenant's Gateway. An empty class name becomes
	// compatibility. A Gateway without listeners gets one, named compatibility,
	// for HTTP on the first public port; so does a proxy that has public ports
	// and no Gateway.
	// +optional
	Gateway *GatewaySpec `json:"gateway,omitempty" protobuf:"bytes,11,opt,name=gateway"`

	// How the Envoys of this gateway proxy treat clients and endpoints, where that differs
	// from the group's edge. The group's edge-overrides list what may be set; limits may
	// always be lower.
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

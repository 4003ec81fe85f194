// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +genclient:method=GetTunnelKeys,verb=get,subresource=tunnelkeys,result=github.com/acnodal/epic/pkg/apis/epic/v1.TunnelKeys
// +resourceName=loadbalancers
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LoadBalancer publishes one service of a tenant on a public address. EPIC runs
// Envoy pods for it and carries each request through a tunnel to the tenant's
// endpoints, which RemoteEndpoint objects describe.
type LoadBalancer struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is an account's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// What the tenant asks for.
	Spec LoadBalancerSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// What runs for this load balancer: its tunnels and its proxies' interfaces.
	// +optional
	Status ProxyStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// LoadBalancerSpec is what a tenant asks of a load balancer.
type LoadBalancerSpec struct {
	// The name of the LBServiceGroup that this load balancer belongs to, in its
	// own namespace or else in the namespace epic. The label
	// epic.acnodal.io/owning-lbservicegroup says the same: give either, and the
	// server sets the other. It never changes.
	// +optional
	ServiceGroup string `json:"service-group,omitempty" protobuf:"bytes,1,opt,name=serviceGroup"`

	// The numeric ID of this load balancer, from 1 to 2147483647,
	// unique in its account. The server assigns it when the load balancer is
	// created; it never changes. Leave it out. A load balancer that is created
	// from a backup keeps its number if no other has it.
	// +optional
	ServiceID int32 `json:"service-id,omitempty" protobuf:"varint,2,opt,name=serviceId"`

	// The name of the tenant's service, as people know it. DNS names and Envoy
	// templates are made with it.
	// +optional
	DisplayName string `json:"display-name,omitempty" protobuf:"bytes,3,opt,name=displayName"`

	// The address on which the service is published. Ask for one that is free in
	// the group's pool, or leave it out and the server assigns one. Once
	// assigned it never changes.
	// +optional
	PublicAddress string `json:"public-address,omitempty" protobuf:"bytes,4,opt,name=publicAddress"`

	// The ports on which the service is published, as the tenant's Service has
	// them. A port number may appear once for each protocol. A strategic merge
	// patch, which kubectl apply sends unless --server-side is set, identifies an
	// entry by its port number alone, as it does in a Service.
	// +optional
	// +listType=map
	// +listMapKey=port
	// +listMapKey=protocol
	// +patchStrategy=merge
	// +patchMergeKey=port
	PublicPorts []ServicePort `json:"public-ports,omitempty" patchStrategy:"merge" patchMergeKey:"port" protobuf:"bytes,5,opt,name=publicPorts"`

	// The Envoy configuration of this load balancer, in templates. The server
	// copies the group's when it is left out.
	// +optional
	EnvoyTemplate *EnvoyConfigSpec `json:"envoy-template,omitempty" protobuf:"bytes,6,opt,name=envoyTemplate"`

	// How many Envoy pods run for this load balancer. The server copies the
	// group's number when it is left out.
	// +optional
	EnvoyReplicaCount *int32 `json:"envoy-replica-count,omitempty" protobuf:"varint,7,opt,name=envoyReplicaCount"`

	// The IDs of the tenant's clusters whose endpoints this load balancer uses,
	// each once. A load balancer can't be deleted while any is listed, and a
	// RemoteEndpoint is only accepted for a cluster that is.
	// +optional
	// +listType=set
	// +patchStrategy=merge
	UpstreamClusters []string `json:"upstream-clusters,omitempty" patchStrategy:"merge" protobuf:"bytes,8,opt,name=upstreamClusters"`

	// Whether requests travel to the endpoints in tunnels. False is for
	// endpoints that the gateway's nodes reach without. Default: true.
	// +optional
	// +default=true
	TrueIngress *bool `json:"true-ingress,omitempty" protobuf:"varint,9,opt,name=trueIngress"`

	// A read-only copy of the tunnels in status.gue-tunnel-endpoints, by tenant
	// node, for programs that read them here. Whatever a client writes here
	// is ignored, and no generation counts it.
	// +optional
	GUETunnelEndpoints map[string]EPICEndpointMap `json:"gue-tunnel-endpoints,omitempty" protobuf:"bytes,10,opt,name=gueTunnelEndpoints"`

	// A read-only copy of status.proxy-if-info, by proxy pod, for programs that
	// read it here. Whatever a client writes here is ignored, and no
	// generation counts it.
	// +optional
	ProxyIfInfo map[string]ProxyInterfaceInfo `json:"proxy-if-info,omitempty" protobuf:"bytes,11,opt,name=proxyIfInfo"`

	// The DNS records of the service, one for each address. The server makes them
	// from the group's endpoint-template, and again when the display name or an
	// address changes. No two accounts have the same DNS name. Leave them out.
	// +optional
	// +listType=atomic
	Endpoints []DNSEndpoint `json:"endpoints,omitempty" protobuf:"bytes,12,opt,name=endpoints"`

	// How the Envoys of this load balancer treat clients and endpoints, where that differs
	// from the group's edge. The group's edge-overrides list what may be set; limits may
	// always be lower.
	// +optional
	Edge *EdgeSpec `json:"edge,omitempty" protobuf:"bytes,13,opt,name=edge"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LoadBalancerList is a list of LoadBalancer objects.
type LoadBalancerList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The objects.
	Items []LoadBalancer `json:"items" protobuf:"bytes,2,rep,name=items"`
}

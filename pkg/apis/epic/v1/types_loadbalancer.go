// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +genclient
// +genclient:method=GetTunnelKeys,verb=get,subresource=tunnelkeys,result=github.com/acnodal/epic/pkg/apis/epic/v1.TunnelKeys
// +resourceName=loadbalancers
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// LoadBalancer publishes one service of a tenant on a public address. EPIC runs Envoy pods
// for it and sends each request through a tunnel to one of the tenant's endpoints, which
// RemoteEndpoint objects describe.
type LoadBalancer struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. The namespace is an account's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// What the tenant requests.
	Spec LoadBalancerSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// What is running for this load balancer: its tunnels and its proxies' interfaces.
	// +optional
	Status ProxyStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// LoadBalancerSpec is what a tenant requests of a load balancer.
type LoadBalancerSpec struct {
	// Name of the LBServiceGroup to which this load balancer belongs, in its own namespace
	// or otherwise in the namespace epic. It equals the label
	// epic.acnodal.io/owning-lbservicegroup: set either, and the server sets the other. It
	// never changes.
	// +optional
	ServiceGroup string `json:"service-group,omitempty" protobuf:"bytes,1,opt,name=serviceGroup"`

	// Numeric ID of this load balancer, from 1 to 2147483647, unique in its account. Leave
	// it out: the server assigns it when the load balancer is created, and it never
	// changes. A load balancer that is created from a backup keeps its ID unless another
	// one has it.
	// +optional
	ServiceID int32 `json:"service-id,omitempty" protobuf:"varint,2,opt,name=serviceId"`

	// Human-readable name of the tenant's service. DNS names and Envoy templates use it.
	// +optional
	DisplayName string `json:"display-name,omitempty" protobuf:"bytes,3,opt,name=displayName"`

	// Address on which the service is published. Request one that is free in the group's
	// pool, or leave it out and the server assigns one. It never changes once it is
	// assigned.
	// +optional
	PublicAddress string `json:"public-address,omitempty" protobuf:"bytes,4,opt,name=publicAddress"`

	// Ports on which the service is published, as in the tenant's Service. A port number
	// may appear once per protocol. A strategic merge patch, which kubectl apply sends
	// unless --server-side is set, identifies an entry by its port number alone, as in a
	// Service.
	// +optional
	// +listType=map
	// +listMapKey=port
	// +listMapKey=protocol
	// +patchStrategy=merge
	// +patchMergeKey=port
	PublicPorts []ServicePort `json:"public-ports,omitempty" patchStrategy:"merge" patchMergeKey:"port" protobuf:"bytes,5,opt,name=publicPorts"`

	// Envoy configuration of this load balancer, in templates. Default: a copy of the
	// group's.
	// +optional
	EnvoyTemplate *EnvoyConfigSpec `json:"envoy-template,omitempty" protobuf:"bytes,6,opt,name=envoyTemplate"`

	// Number of Envoy pods that run for this load balancer. Default: a copy of the group's
	// number.
	// +optional
	EnvoyReplicaCount *int32 `json:"envoy-replica-count,omitempty" protobuf:"varint,7,opt,name=envoyReplicaCount"`

	// IDs of the client clusters whose endpoints this load balancer uses, each once. The
	// load balancer can't be deleted until the list is empty, and a RemoteEndpoint is
	// accepted only for a cluster in the list.
	// +optional
	// +listType=set
	// +patchStrategy=merge
	UpstreamClusters []string `json:"upstream-clusters,omitempty" patchStrategy:"merge" protobuf:"bytes,8,opt,name=upstreamClusters"`

	// Whether requests travel to the endpoints in tunnels. Set it to false for endpoints
	// that gateway nodes can reach directly. Default: true.
	// +optional
	// +default=true
	TrueIngress *bool `json:"true-ingress,omitempty" protobuf:"varint,9,opt,name=trueIngress"`

	// Read-only copy of the tunnels in status.gue-tunnel-endpoints, by client node, for
	// clients that read them here. Writes to this field are ignored and do not change the
	// generation.
	// +optional
	GUETunnelEndpoints map[string]EPICEndpointMap `json:"gue-tunnel-endpoints,omitempty" protobuf:"bytes,10,opt,name=gueTunnelEndpoints"`

	// Read-only copy of status.proxy-if-info, by proxy pod, for clients that read it here.
	// Writes to this field are ignored and do not change the generation.
	// +optional
	ProxyIfInfo map[string]ProxyInterfaceInfo `json:"proxy-if-info,omitempty" protobuf:"bytes,11,opt,name=proxyIfInfo"`

	// DNS records of the service, one per address. Leave them out: the server creates them
	// from the group's endpoint-template, and again when the display name or an address
	// changes. No two accounts can have the same DNS name.
	// +optional
	// +listType=atomic
	Endpoints []DNSEndpoint `json:"endpoints,omitempty" protobuf:"bytes,12,opt,name=endpoints"`

	// Settings of this load balancer's Envoys that differ from the group's edge. Only the
	// parts in the group's edge-overrides can be set here, except that limits can always be
	// lowered.
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

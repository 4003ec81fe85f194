// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TunnelKeys is the response to a read of the subresource tunnelkeys of a load balancer or
// a gateway proxy: the keys with which the two ends of each of its tunnels authenticate
// each other. The server computes it on demand and does not store it. A node gets only the
// keys of the tunnels that end on it.
type TunnelKeys struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata: the name, the namespace, the UID and the resourceVersion of
	// the load balancer or gateway proxy.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The tunnels whose keys the client may read, sorted by ID. May be empty.
	// +optional
	// +listType=map
	// +listMapKey=tunnel-id
	// +patchStrategy=merge
	// +patchMergeKey=tunnel-id
	Tunnels []TunnelKeySet `json:"tunnels" patchStrategy:"merge" patchMergeKey:"tunnel-id" protobuf:"bytes,2,rep,name=tunnels"`
}

// TunnelKeySet is one tunnel and its keys.
type TunnelKeySet struct {
	// ID of the tunnel, from 1 to 2147483647.
	TunnelID int32 `json:"tunnel-id" protobuf:"varint,1,opt,name=tunnelId"`

	// Address of the client node at the tunnel's far end.
	TenantNode string `json:"tenant-node" protobuf:"bytes,2,opt,name=tenantNode"`

	// Address of the gateway node at the tunnel's near end.
	EPICNode string `json:"epic-node" protobuf:"bytes,3,opt,name=epicNode"`

	// The keys that are currently valid. An end sends with the first key and accepts all of
	// them, so keys can be replaced while the tunnel is in use.
	// +listType=atomic
	Keys []TunnelKey `json:"keys" protobuf:"bytes,4,rep,name=keys"`
}

// TunnelKey is one key of a tunnel.
type TunnelKey struct {
	// The master key of the server from which this key was derived, from 1 to 255. Control
	// messages carry it, so the far end knows which key to use.
	ID int32 `json:"id" protobuf:"varint,1,opt,name=id"`

	// The key: 32 bytes, in base64.
	Key []byte `json:"key" protobuf:"bytes,2,opt,name=key"`
}

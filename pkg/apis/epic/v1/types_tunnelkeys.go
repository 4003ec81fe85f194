// SPDX-License-Identifier: Apache-2.0

package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TunnelKeys is the answer to a read of the subresource tunnelkeys of a load
// balancer or a gateway proxy: the keys by which the two ends of each of its
// tunnels know each other. It is worked out on demand and stored nowhere. A node
// gets the keys of the tunnels that end on it, and no others.
type TunnelKeys struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata: the name, the namespace and the uid of the
	// object that was asked, and its resourceVersion then.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// The tunnels whose keys the reader may have, sorted by ID.
	// Empty when there are none.
	// +optional
	// +listType=map
	// +listMapKey=tunnel-id
	// +patchStrategy=merge
	// +patchMergeKey=tunnel-id
	Tunnels []TunnelKeySet `json:"tunnels" patchStrategy:"merge" patchMergeKey:"tunnel-id" protobuf:"bytes,2,rep,name=tunnels"`
}

// TunnelKeySet is one tunnel and its keys.
type TunnelKeySet struct {
	// The ID of the tunnel, from 1 to 2147483647.
	TunnelID int32 `json:"tunnel-id" protobuf:"varint,1,opt,name=tunnelId"`

	// The address of the tenant's node at the tunnel's far end.
	TenantNode string `json:"tenant-node" protobuf:"bytes,2,opt,name=tenantNode"`

	// The address of the gateway node at the tunnel's near end.
	EPICNode string `json:"epic-node" protobuf:"bytes,3,opt,name=epicNode"`

	// The keys that are valid now. An end sends with the first and accepts all
	// of them, so keys can be replaced while tunnels are in use.
	// +listType=atomic
	Keys []TunnelKey `json:"keys" protobuf:"bytes,4,rep,name=keys"`
}

// TunnelKey is one key of a tunnel.
type TunnelKey struct {
	// Which of the server's master keys this key was made from, from 1 to 255.
	// Control messages carry it, so the far end knows which key to use.
	ID int32 `json:"id" protobuf:"varint,1,opt,name=id"`

	// The key: 32 bytes, in base64.
	Key []byte `json:"key" protobuf:"bytes,2,opt,name=key"`
}

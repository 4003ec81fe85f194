// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// TunnelKeys is the answer to a read of the subresource tunnelkeys of a load
// balancer or a gateway proxy: the keys by which the two ends of each of its
// tunnels authenticate each other. The server computes them on demand and does not
// store them. A node gets the keys of the tunnels that end on it, and no others.
type TunnelKeys struct {
	metav1.TypeMeta
	// Standard object metadata: the name, the namespace and the uid of the
	// object that was asked, and its resourceVersion then.
	metav1.ObjectMeta

	// The tunnels whose keys the reader may have, sorted by ID.
	// Empty when there are none.
	Tunnels []TunnelKeySet
}

// TunnelKeySet is one tunnel and its keys.
type TunnelKeySet struct {
	// The ID of the tunnel, from 1 to 2147483647.
	TunnelID int32

	// The address of the client node at the tunnel's far end.
	TenantNode string

	// The address of the gateway node at the tunnel's near end.
	EPICNode string

	// The keys that are valid now. An end sends with the first and accepts all
	// of them, so keys can be replaced while tunnels are in use.
	Keys []TunnelKey
}

// TunnelKey is one key of a tunnel.
type TunnelKey struct {
	// Which of the server's master keys this key was made from, from 1 to 255.
	// Control messages carry it, so the far end knows which key to use.
	ID int32

	// The key: 32 bytes, in base64.
	Key []byte
}

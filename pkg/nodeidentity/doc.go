// SPDX-License-Identifier: Apache-2.0

// Package nodeidentity reports which node sent a request. A node's credentials name
// it in one of three ways:
//
//   - The user epic:node:ADDRESS in the group epic:nodes, by a client certificate
//     or otherwise: a gateway node or a tenant's host, by its address. This is for
//     hosts without Kubernetes and for a server without a kube-apiserver.
//   - The service account of the gateway's node program, with a token that is
//     bound to a pod: the token says on which Node the pod runs, and the Node
//     object reports which addresses that has.
//   - A service account in an account's namespace whose name is node. and an
//     address, such as node.192.0.2.16: a client node, by its address. It is a
//     node of that namespace alone. In node.paris.192.0.2.16 it is the node of one
//     client cluster, paris, too: the connector of that cluster made it.
//
// Credentials that are meant to name a node and do not name one are an error,
// never the credentials of somebody else: they get nothing.
//
// What a node may do is decided by whoever asks here: package tunnelkeys for
// keys, package noderestriction for writes.
package nodeidentity

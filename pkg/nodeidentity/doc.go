// SPDX-License-Identifier: Apache-2.0

// Package nodeidentity determines which node sent a request. A node's credentials
// identify it in one of three ways:
//
//   - The user epic:node:ADDRESS in the group epic:nodes, by a client certificate
//     or otherwise: a gateway node or a tenant's host, by its address. This is for
//     hosts without Kubernetes and for a server without a kube-apiserver.
//   - The service account of the gateway's node program, with a token that is
//     bound to a pod: the token identifies the Node on which the pod runs, and the
//     Node object has its addresses.
//   - A service account in an account's namespace whose name is node. and an
//     address, such as node.192.0.2.16: a client node, by its address. It is only
//     a node of that namespace. In node.paris.192.0.2.16, it is also the node of
//     one client cluster, paris, whose connector created it.
//
// Credentials that should identify a node and do not are an error, and never treated as
// those of another user: they get no permissions.
//
// Callers decide what a node may do: package tunnelkeys for keys, package noderestriction
// for writes.
package nodeidentity

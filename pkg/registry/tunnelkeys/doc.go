// SPDX-License-Identifier: Apache-2.0

// Package tunnelkeys serves the subresource tunnelkeys of load balancers and
// gateway proxies: the keys of their tunnels, made on demand and stored nowhere.
// RBAC decides which users may read it at all; of what there is, a node gets the keys of
// the tunnels that end on it. How keys are made is in pkg/tunnelkey.
package tunnelkeys

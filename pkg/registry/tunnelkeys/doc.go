// SPDX-License-Identifier: Apache-2.0

// Package tunnelkeys serves the subresource tunnelkeys of load balancers and gateway
// proxies: the keys of their tunnels, derived on demand and stored nowhere. RBAC decides
// which users may read it; a node only gets the keys of the tunnels that end on it.
// Package tunnelkey derives the keys.
package tunnelkeys

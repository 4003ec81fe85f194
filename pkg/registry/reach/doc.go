// SPDX-License-Identifier: Apache-2.0

// Package reach decides which addresses a tenant's endpoint may have if it is reached
// without a tunnel. A proxy connects to such an endpoint from a gateway node, so its
// address must not belong to the gateway cluster: otherwise, a tenant could publish a
// service, a node or a pod of others.
//
// An endpoint behind a tunnel may have any of these addresses, because the tunnel selects
// the tenant's network.
package reach

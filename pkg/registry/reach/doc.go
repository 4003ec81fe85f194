// SPDX-License-Identifier: Apache-2.0

// Package reach decides which addresses a tenant's endpoint may have when no
// tunnel leads to it. A proxy connects to such an endpoint from a gateway node,
// so its address must not be one of the gateway cluster's own: the tenant would
// publish a service, a node or a pod that is not the tenant's.
//
// An endpoint behind a tunnel may have any of these addresses, because the tunnel
// selects the tenant's network.
package reach

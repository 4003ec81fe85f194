// SPDX-License-Identifier: Apache-2.0

// Package follow watches the API objects that concern a node and makes intents of
// them. It watches, by indexed fields, only the load balancers and proxies that have
// a tunnel or a pod on this node, and the endpoints of their namespaces. It polls
// nothing. While the API is away it keeps what it knew last.
package follow

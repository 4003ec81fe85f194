// SPDX-License-Identifier: Apache-2.0

// Package follow watches the API objects that concern a node and computes intents from
// them. With indexed fields, it only watches the load balancers and proxies that have a
// tunnel or a pod on this node, and the endpoints of their namespaces. It never polls.
// While the API is unavailable, it keeps the last known state.
package follow

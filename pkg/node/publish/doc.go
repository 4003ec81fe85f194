// SPDX-License-Identifier: Apache-2.0

// Package publish writes a gateway node's state to the API: the interfaces of its proxies
// to status.proxy-if-info of the objects that they run for, and heartbeats with the state
// of its tunnels to its own GatewayNode object. It only writes this node's entries,
// corrects them if another writer changes them, and removes those of pods that no longer
// exist.
package publish

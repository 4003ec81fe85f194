// SPDX-License-Identifier: Apache-2.0

// Package publish writes what a gateway node knows to the API: the interfaces of
// its proxies to status.proxy-if-info of the objects that they run for, and
// heartbeats with the state of its tunnels to its own GatewayNode object. It writes
// this node's entries only, corrects them when another writer changes them, and
// removes those of pods that are gone.
package publish

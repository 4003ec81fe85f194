// SPDX-License-Identifier: Apache-2.0

// Package silence detects tunnels that no longer carry return packets from their
// counters, long before the next PING is overdue. A client node then sends a PING to the
// far end immediately, in case a NAT has changed its mapping; a gateway node learns that
// the far end is down. It makes no decisions: pkg/node/liveness determines what a silent
// far end means for a tunnel's readiness.
package silence

// SPDX-License-Identifier: Apache-2.0

// Package silence finds tunnels by which nothing comes anymore, by their counters, long
// before the next PING is overdue. A client node then asks the far end at once, in case a NAT
// has changed its mapping; a gateway node learns that the far end is gone. It decides
// nothing: what a silent far end means for a tunnel's readiness is pkg/node/liveness's.
package silence

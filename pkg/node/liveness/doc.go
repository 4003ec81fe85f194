// SPDX-License-Identifier: Apache-2.0

// Package liveness decides which tunnels of a gateway node are up. It is a state
// machine without sockets and clocks of its own: it looks at what the control
// protocol and the data plane know, at short intervals.
//
// A tunnel is up while its far end is heard: by PINGs, or by data packets while
// PINGs are overdue, as when the node program of the client node restarts. How long a
// PING may be overdue depends on the pace at which this far end sends them. A far end that
// was asked for a PING and does not answer is gone at once.
//
// The first time that a tunnel goes down, and the first time that it comes back, is
// reported at once. One that goes up and down again and again has to stay up for a
// while, longer each time, until it counts as up.
//
// After a restart, a tunnel keeps the state that was reported before until the far
// end is heard or has had the time to be.
package liveness

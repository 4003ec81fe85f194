// SPDX-License-Identifier: Apache-2.0

// Package liveness decides which tunnels of a gateway node are up. It is a state machine
// without sockets and clocks: at short intervals, it reads the state of the control
// protocol and of the data plane.
//
// A tunnel is up while its far end is heard: by PINGs, or by data packets while PINGs are
// overdue, for example while the node program of the client node restarts. How long a
// PING may be overdue depends on the interval at which this far end sends them. A far end
// that was asked for a PING and does not respond is down immediately.
//
// The first time that a tunnel goes down, and the first time that it comes back, is
// reported immediately. A tunnel that goes up and down repeatedly has to stay up for a
// while, longer each time, until it counts as up.
//
// After a restart, a tunnel keeps the state that was reported before until the far end is
// heard or has had enough time to be.
package liveness

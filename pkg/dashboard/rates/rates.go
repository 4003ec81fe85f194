// SPDX-License-Identifier: Apache-2.0

// Package rates reads rates of requests and tunnels from a Prometheus: one in the
// cluster, through the kube-apiserver and with the user's rights, or one on this machine.
package rates

import "time"

// Pod is what one Envoy does.
type Pod struct {
	// Requests and Connections are per second.
	Requests, Connections float64
}

// Tunnel is what goes through one tunnel.
type Tunnel struct {
	RoundTrip time.Duration
	// Received and Sent are bytes per second.
	Received, Sent float64
}

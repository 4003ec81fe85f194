// SPDX-License-Identifier: Apache-2.0

// Package rates reads rates of requests and tunnels from a Prometheus: one in the
// cluster, through the kube-apiserver and with the user's permissions, or one on this
// machine.
package rates

import "time"

// Pod is the rates of one Envoy.
type Pod struct {
	// Requests and Connections are per second.
	Requests, Connections float64
}

// Tunnel is the rates of one tunnel.
type Tunnel struct {
	RoundTrip time.Duration
	// Received and Sent are bytes per second.
	Received, Sent float64
}

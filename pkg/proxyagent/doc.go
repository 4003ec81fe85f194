// SPDX-License-Identifier: Apache-2.0

// Package proxyagent is the program of a proxy's pod. It gets the pod its certificate,
// starts Envoy and keeps it running, relays Envoy's configuration from the operator, and
// drains Envoy before the pod ends.
//
// What Envoy accepted is kept in a folder in memory. An Envoy or a container that starts
// again gets it from there, so a proxy needs the operator for changes only.
package proxyagent

// SPDX-License-Identifier: Apache-2.0

// Package proxyagent is the program of a proxy's pod. It requests the pod's certificate,
// starts Envoy and keeps it running, relays Envoy's configuration from the operator, and
// drains Envoy before the pod terminates.
//
// It stores the configuration that Envoy accepted in a directory in memory. A restarted
// Envoy or container gets it from there, so a proxy only needs the operator for changes.
package proxyagent

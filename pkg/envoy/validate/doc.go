// SPDX-License-Identifier: Apache-2.0

// Package validate asks a real Envoy whether it accepts resources before they reach the
// Envoy of a tenant. A standing Envoy is asked over xDS; while it is away or has no
// answer, each question runs an Envoy that reads a configuration and exits. Answers are
// kept by the content of the resource, so each content is asked about once.
//
// It is for clusters, listeners and routes. Endpoints have no content that Envoy could
// refuse and the proxy's translation would make, and their path must not wait. What the
// answer misses, such as an address that is in use, the proxy's own Envoy refuses later,
// which package delta isolates.
package validate

// SPDX-License-Identifier: Apache-2.0

// Package translate translates EPIC's objects into the configuration of Envoys. It is
// pure: its input is objects, its output is resources and problems, and equal input gives
// equal output.
//
// LoadBalancer and Gateway translate one proxy: its listeners, routes, clusters and
// secrets, and the list of its backends. They do not use endpoints. Backend.Assignment
// renders the endpoints of one backend, so an endpoint change only renders one
// ClusterLoadAssignment. Service contains what the translation of a Gateway needs from
// its Services; when that changes, the proxy is translated again.
//
// The package does not trust its input. Parts that can't be served result in an error
// response or are left out, never guessed, and are reported as a Problem of the object
// that must be changed. Every object that the API accepts results in a configuration that
// Envoy accepts.
package translate

// SPDX-License-Identifier: Apache-2.0

// Package translate translates EPIC's objects into the configuration of Envoys. It is
// pure: objects go in, resources and problems come out, and equal input gives equal
// output.
//
// LoadBalancer and Gateway translate one proxy: its listeners, routes, clusters and
// secrets, and the list of its backends. They do not use endpoints. Backend.Assignment
// renders the endpoints of one backend, so an endpoint change only renders one
// ClusterLoadAssignment. Service contains what the translation of a Gateway needs from its
// Services; when that changes, the proxy is translated again.
//
// The package does not trust its input. What can't be served is answered with an error or
// left out, never guessed, and reported as a Problem of the object that must be changed.
// Every object that the API accepts results in a configuration that Envoy accepts.
package translate

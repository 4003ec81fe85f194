// SPDX-License-Identifier: Apache-2.0

// Package translate turns EPIC's objects into the configuration of Envoys. It is pure:
// objects go in, resources and problems come out, and equal input gives equal output.
//
// LoadBalancer and Gateway translate one proxy: its listeners, routes, clusters and
// secrets, and the list of its backends. They do not see endpoints. Backend.Assignment
// renders the endpoints of one backend, so a change of an endpoint renders one
// ClusterLoadAssignment and nothing else. What the translation of a Gateway needs to know
// of its Services is in Service; when that changes, the proxy is translated again.
//
// The package trusts nothing that it reads. What can't be served is answered with an
// error or left out, never guessed, and reported as a Problem of the object that is at
// fault. Whatever the API accepts, the result is a configuration that Envoy accepts.
package translate

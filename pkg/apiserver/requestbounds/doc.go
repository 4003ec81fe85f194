// SPDX-License-Identifier: Apache-2.0

// Package requestbounds limits what the body of one request, and the bodies of
// all requests together, may cost the server in memory and CPU before anything
// looks at their meaning.
//
// Decoding an object takes up to some hundred times the memory of its body, and
// patches of some types take time that grows with the square of a list. So each
// resource has a limit on the bytes of a body, lists have a limit on their
// length, patches of many operations have a tighter limit, and the bytes of
// large bodies that are processed at the same time are limited too: requests
// beyond that wait.
package requestbounds

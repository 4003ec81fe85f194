// SPDX-License-Identifier: Apache-2.0

// Package serving serves HTTPS for the generic API server and closes HTTP/2
// connections without losing a request.
//
// The kube-apiserver carries the requests of all clients over one HTTP/2
// connection to a replica, and keeps using it after the replica has left the
// Service's endpoints. Go's server ends such a connection with a GOAWAY frame
// that names the last request it has seen. A request that is on its way at that
// moment is lost: the kube-apiserver can't send it again when it has a body, and
// answers 503.
//
// RFC 9113, section 6.8, has the remedy: the server first announces that it is
// about to leave, with a GOAWAY frame that names the highest possible stream, and
// serves on. The client sends whatever is new over another connection, and the
// last GOAWAY frame meets no request. The first one must not meet a request either
// that the client is about to send, so the server chooses a moment of silence for it.
// Replace does that while the generic server waits for its shutdown delay.
package serving

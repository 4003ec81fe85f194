// SPDX-License-Identifier: Apache-2.0

// Package serving serves HTTPS for the generic API server and closes HTTP/2 connections
// without losing a request.
//
// The kube-apiserver sends the requests of all clients over one HTTP/2 connection to a
// replica, and keeps using it after the replica has left the Service's endpoints. Go's
// server closes such a connection with a GOAWAY frame that contains the last request it
// has seen. A request that is in flight at that moment is lost: if it has a body, the
// kube-apiserver can't send it again, and answers 503.
//
// RFC 9113, section 6.8, describes the solution: the server first announces that it is
// about to leave, with a GOAWAY frame that contains the highest possible stream ID, and
// keeps serving. The client sends new requests over another connection, so the final
// GOAWAY frame affects no request. The first frame must not cross a request that the
// client is about to send either, so the server sends it when the connection is idle.
// Replace does that while the generic server waits for its shutdown delay.
package serving

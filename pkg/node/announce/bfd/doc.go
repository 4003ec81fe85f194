// SPDX-License-Identifier: Apache-2.0

// Package bfd implements Bidirectional Forwarding Detection in asynchronous mode (RFC
// 5880), for neighbors (RFC 5881) and for multihop peers (RFC 5883). It does not support
// authentication, demand mode or echo packets, which peers of gateway nodes do not need.
//
// [Session] is the state machine: it neither sends nor waits. [Server] has the sockets. A
// packet from a neighbor is only accepted with a time to live of 255, so it can't come
// from beyond the next hop.
package bfd

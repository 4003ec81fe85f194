// SPDX-License-Identifier: Apache-2.0

// Package gue is the control protocol of a tunnel: how the tenant's node opens it
// through NAT, how the EPIC node makes sure of where the tenant's node is, and how
// both know that the other lives.
//
// A control packet is a GUE packet (draft-ietf-intarea-gue-09, variant 0, with the
// control bit, and type 255 for experiments) that carries one message of fixed
// size:
//
//	 0      21 ff 80 00            GUE: control, one word of options, type 255, group flag
//	 4      tunnel ID              4 bytes, big endian, as all numbers here
//	 8      45 50 49 43            experiment ID, "EPIC" in ASCII
//	12      version                1
//	13      type                   1 PING, 2 CHALLENGE, 3 PONG
//	14      key ID                 1 to 255, which key the MAC was made with
//	15      0
//	16      sequence number        8 bytes; an answer repeats that of its PING
//	24      round trip             4 bytes, microseconds; PING only
//	28      nonce                  16 bytes; PING that answers a CHALLENGE, and CHALLENGE
//	44      MAC                    16 bytes: HMAC-SHA256 of all that precedes, cut off
//
// The tenant's node sends PING. From the tunnel's verified remote it is answered
// with PONG. From elsewhere it is answered with CHALLENGE, whose nonce is good for
// that address only, once, and for some seconds; the remote moves there when a PING
// with the nonce comes from there. What is not authentic, or not newer than what
// came before, changes nothing and gets no answer. All messages have the same size,
// so no answer is larger than what asked for it.
//
// What an attacker on the path can do who holds packets back and sends them on from
// elsewhere is what a NAT does, and can't be told from one: the outer addresses are
// not authenticated, and can't be. He gains what he had, to see and to drop packets.
//
// Responder and Initiator are the two ends as plain state machines, without sockets
// or clocks of their own. Socket carries their packets. The package knows nothing of
// where tunnels and keys come from, and nothing of data packets.
package gue

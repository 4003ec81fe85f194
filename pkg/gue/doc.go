// SPDX-License-Identifier: Apache-2.0

// Package gue is the control protocol of a tunnel: how the client node opens it through
// NAT, how the gateway node verifies the address of the client node, and how both detect
// that the other is up.
//
// A control packet is a GUE packet (draft-ietf-intarea-gue-09, variant 0, with the
// control bit, and type 255 for experiments) that carries one message of fixed size:
//
//	 0      21 ff 80 00            GUE: control, one word of options, type 255, group flag
//	 4      tunnel ID              4 bytes, big endian, as all numbers here
//	 8      45 50 49 43            experiment ID, "EPIC" in ASCII
//	12      version                1; 2 of a PONG with flags
//	13      type                   1 PING, 2 CHALLENGE, 3 PONG, 4 SOLICIT
//	14      key ID                 1 to 255, which key the MAC was made with
//	15      flags                  of a PONG; 0 in version 1
//	16      sequence number        8 bytes; an answer repeats that of its PING, a SOLICIT
//	                               that of the last PING
//	24      round trip             4 bytes, microseconds; PING only
//	28      nonce                  16 bytes; PING that answers a CHALLENGE, and CHALLENGE;
//	                               of another PING "EPIC+cap", flags, 7 zero bytes
//	44      MAC                    16 bytes: HMAC-SHA256 of all that precedes, cut off
//
// The client node sends PING. If it comes from the tunnel's verified remote, the gateway
// node answers with PONG. If it comes from elsewhere, it answers with CHALLENGE, whose
// nonce is only valid for that address, once, and for some seconds; the remote moves
// there when a PING with the nonce arrives from there. A message that is not authentic,
// or not newer than earlier ones, changes nothing and gets no answer. All messages have
// the same size, so no answer is larger than its request.
//
// # Cookies
//
// Data packets carry a cookie of eight bytes, derived from the tunnel's key, one for each
// direction. The flags of PING and PONG negotiate whether both ends support cookies: 1
// indicates that the sender accepts cookies, 2 that it sends them, 4 that it rejects
// packets without.
//
// An end sends cookies as soon as the far end has announced that it accepts them. It
// rejects packets without a cookie when the far end has announced for cookieGrace that it
// sends them. An end that only supports version 1 ignores the flags of a PING, as it
// ignores each nonce that it did not issue, and answers with a PONG of version 1. A PING
// of version 1 is answered with a PONG of version 1. So either end can be upgraded or
// rolled back first, and the control protocol continues without a pause.
//
// Flags are authenticated by the MAC, and only count in a message that is certainly new.
// Only the far end itself can revoke what it has announced, and the state in use is
// resumed after a restart. CookiesOff limits an end to version 1 of the control protocol.
//
// # Far ends that may be down
//
// A gateway node can't open a tunnel, but it can ask: SOLICIT, sent to the verified
// remote, makes the far end send a PING immediately. The gateway asks when packets are
// sent into a tunnel and none are received, so it detects within seconds that a client
// node is down, instead of when the next PING is overdue. It only asks a far end whose
// PINGs have flag 8. A SOLICIT repeats the sequence number of the last PING, so a
// replayed one has no effect once that PING has a successor.
//
// # Attackers on the path
//
// An attacker on the path who holds packets back and forwards them from another address
// does what a NAT does, and can't be distinguished from one: the outer addresses are not
// and can't be authenticated. The attacker gains nothing new: the ability to see and to
// drop packets.
//
// Responder and Initiator are the two ends as plain state machines, without sockets or
// clocks. Socket carries their packets. The package does not know where tunnels and keys
// come from. Of data packets, it only knows the cookies.
package gue

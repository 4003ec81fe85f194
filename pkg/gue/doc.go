// SPDX-License-Identifier: Apache-2.0

// Package gue is the control protocol of a tunnel: how the client node opens it
// through NAT, how the gateway node makes sure of where the client node is, and how
// both know that the other lives.
//
// A control packet is a GUE packet (draft-ietf-intarea-gue-09, variant 0, with the
// control bit, and type 255 for experiments) that carries one message of fixed
// size:
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
// The client node sends PING. From the tunnel's verified remote it is answered
// with PONG. From elsewhere it is answered with CHALLENGE, whose nonce is good for
// that address only, once, and for some seconds; the remote moves there when a PING
// with the nonce comes from there. What is not authentic, or not newer than what
// came before, changes nothing and gets no answer. All messages have the same size,
// so no answer is larger than what asked for it.
//
// # Cookies
//
// Data packets carry a cookie of eight bytes, derived from the tunnel's key, one for each
// direction. Whether both ends can is negotiated by the flags of PING and PONG: 1 indicates
// that the sender accepts cookies, 2 that it sends them, 4 that it refuses packets without.
//
// An end sends cookies as soon as the far end has said that it accepts them. It refuses
// packets without a cookie when the far end has said for cookieGrace that it sends them.
// An end that knows only version 1 ignores the flags of a PING, as it ignores each nonce
// that it did not issue, and answers with a PONG of version 1. A PING of version 1 is
// answered with a PONG of version 1. So either end can be upgraded or rolled back first,
// and the control protocol continues without a pause.
//
// Flags are under the MAC, and count only in a message that is certainly new. Nobody but
// the far end itself can take back what it has said, and what is in use is resumed after a
// restart. CookiesOff limits an end to version 1 of the control protocol.
//
// # Far ends that may be gone
//
// A gateway node can't open a tunnel, but it can ask: SOLICIT, sent to the verified remote,
// has the far end send a PING at once. The gateway asks when packets go into a tunnel and
// none come out, so it learns within seconds that a client node is gone, and not when the
// next PING is overdue. Only a far end whose PINGs have flag 8 is asked. A SOLICIT repeats
// the sequence number of the last PING, so one that an attacker sends again causes nothing
// once that PING has a successor.
//
// # Attackers on the path
//
// What an attacker on the path can do who holds packets back and sends them on from
// elsewhere is what a NAT does, and can't be told from one: the outer addresses are
// not authenticated, and can't be. He gains what he had, to see and to drop packets.
//
// Responder and Initiator are the two ends as plain state machines, without sockets
// or clocks of their own. Socket carries their packets. The package knows nothing of
// where tunnels and keys come from. Of data packets it knows only the cookies.
package gue

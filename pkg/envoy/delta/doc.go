// SPDX-License-Identifier: Apache-2.0

// Package delta decides what to send next to one client of the incremental xDS protocol.
//
// A Session is the state of one stream: what the client subscribed to, what it holds,
// what is in flight and what it refused. The caller passes it the client's requests and
// the changes of its configuration, and requests the next response. A Session does no
// input or output, starts no goroutine, takes no lock and reads no clock.
//
// It follows five rules.
//
//   - A resource counts as held when the client acknowledges it, not when it is sent.
//     Versions are hashes of the content, so resources that a client lists as held when
//     it connects are not sent again, regardless of the server it got them from.
//   - No resource refers to one that is not there yet. Secrets go first, then clusters;
//     their endpoints follow; listeners and routes wait until new clusters have their
//     endpoints. Removals go last, in the reverse order. Only the removal of a listener
//     travels with new listeners, because one may take the address of the other.
//   - Endpoints of clusters that the client already has never wait for any of this.
//   - At most one response of each type is outstanding.
//   - A refused response is split until the resources at fault are alone. The others
//     are delivered. The client keeps the last good version of a refused resource; a
//     refused version is sent again only to a client that connects, or, after a delay,
//     when the rest of the configuration has changed. A resource that is withheld counts
//     as refused by every client, and is never sent.
package delta

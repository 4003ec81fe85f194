// SPDX-License-Identifier: Apache-2.0

// Package events records Kubernetes events on EPIC's objects when their state changes.
//
// The number of writes is bounded, whatever the objects do: each object, each namespace
// and the program have a token bucket, and an event that finds one of them empty is
// dropped and counted. Numerous kinds leave a share of the buckets to the few objects
// that matter most. Conditions in the status of an object are never dropped: they are
// the state, and events are its history.
//
// An event is in the namespace of its object, and its message is about that object alone:
// whoever may read the object's conditions may read its events.
//
// Where the API server serves no events, as an EPIC API server in standalone mode, they
// go to the log.
package events

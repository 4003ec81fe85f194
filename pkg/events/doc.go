// SPDX-License-Identifier: Apache-2.0

// Package events records Kubernetes events on EPIC's objects when their state changes.
//
// The number of writes is limited: each object, each namespace and the program have a
// token bucket, and an event for which one of them is empty is dropped and counted. Kinds
// with many objects leave a share of the buckets to the few objects that matter most.
// Conditions in the status of an object are never dropped: they are the state, and events
// are its history.
//
// An event is in the namespace of its object, and its message only concerns that object:
// users who may read the object's conditions may read its events.
//
// If the API server does not serve events, like a standalone EPIC API server, they are
// logged.
package events

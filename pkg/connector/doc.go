// SPDX-License-Identifier: Apache-2.0

// Package connector publishes a client cluster's Gateways, routes and Services in EPIC.
//
// It runs in the client cluster, with a kubeconfig for the account's namespace in EPIC.
// Each kind of the client cluster has a controller. A reconciler reads its object and
// everything that belongs to it from caches, lets package publish compute the result, and
// writes the differences: first to EPIC, then to the status of the local object. Watches
// on both sides trigger it; nothing polls.
//
// Objects that the connector writes in EPIC have the label owning-cluster, and
// spec.clientRef names the local object that they represent. If the local object no longer
// exists, the object in EPIC is deleted, even if the local object was deleted while the
// connector was not running. Gateways and Services also have a finalizer, so an address is
// released before the local object is removed. Objects of other clusters and other owners
// are never changed.
//
// While EPIC is unavailable, local objects and the traffic of its proxies stay unchanged.
// When it is available again, the differences are written.
package connector

// SPDX-License-Identifier: Apache-2.0

// Package connector publishes a client cluster's Gateways, routes and Services in EPIC.
//
// It runs in the client cluster, with a kubeconfig for the account's namespace in EPIC.
// There is one controller for each kind of the client cluster. A reconciler reads its
// object and everything that belongs to it from caches, lets package publish decide, and
// writes the difference: first to EPIC, then to the status of the local object. Watches on
// both sides start it; nothing polls.
//
// What the connector writes in EPIC has the label owning-cluster and names in
// spec.clientRef the local object that it stands for. An object there whose local object
// is gone is deleted, also when that happened while the connector was away. Gateways and
// Services have a finalizer besides, so an address is returned before the local
// object goes. Objects of other clusters and other owners are never touched.
//
// While EPIC is away, local objects and the traffic of its proxies stay as they are. When
// it is back, the differences are written.
package connector

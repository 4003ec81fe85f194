// SPDX-License-Identifier: Apache-2.0

// Package connector tests epic-connector as tenants run it: between a client cluster and a
// gateway cluster that extends its API with EPIC's, each with a real kube-apiserver, and
// with no rights but those of the roles that ship.
//
// The tests share one pair of clusters. All data is in one etcd, so its revisions order
// what happened on both sides, and the tests judge by this history as well as by the
// outcome.
package connector

// SPDX-License-Identifier: Apache-2.0

// Package controller keeps the status of load balancers and gateway proxies
// equal to what their endpoints and their proxies need: one tunnel for each pair
// of a client node, on which an endpoint runs, and a gateway node, on which a
// proxy runs. Pairs that are needed no more are removed. It tells the conditions
// of all kinds, which describe what is missing, and gives up gateway nodes that are
// silent for too long, with what ran there.
//
// It gives tunnels no IDs, which the API server does when a pair is written, and
// moves no packet, which the node programs do.
//
// Everything it decides comes from its caches, and a write holds only for the
// version of the object that the decision was made on. So several controllers
// may run at once: they do the same work twice, and never undo each other's.
package controller

// SPDX-License-Identifier: Apache-2.0

// Package nodes gives the nodes of a client cluster their credentials for EPIC's API. Each
// node has a service account of its own in the account's namespace, and gets a token of it
// for an hour. A pod of the node program proves by its projected token on which node it
// runs, and so can't get another node's credential.
package nodes

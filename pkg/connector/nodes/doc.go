// SPDX-License-Identifier: Apache-2.0

// Package nodes issues credentials for EPIC's API to the nodes of a client cluster. Each
// node has its own service account in the account's namespace, and gets a token of it that
// is valid for an hour. A pod of the node program proves with its projected token on which
// node it runs, so it can't get another node's credential.
package nodes

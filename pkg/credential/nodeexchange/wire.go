// SPDX-License-Identifier: Apache-2.0

// Package nodeexchange is how the node program on a client node gets its credential for
// EPIC's API: it shows its pod's token to the cluster's connector, over TLS, and gets a
// kubeconfig that is valid for an hour.
package nodeexchange

const (
	// Path is where the connector serves it, to POST requests without a body.
	Path = "/v1/node-credential"
	// Audience is the audience of the tokens that are projected into the pods of the node
	// program.
	Audience = "epic-connector"
	// maxAnswer bounds what is read of an answer, and maxText of a refusal.
	maxAnswer, maxText = 1 << 20, 2048
)

// Answer is the answer to a node.
type Answer struct {
	// Kubeconfig reaches EPIC's API as this node.
	Kubeconfig []byte `json:"kubeconfig"`
	// Address is the one by which EPIC knows the node.
	Address string `json:"address"`
}

// SPDX-License-Identifier: Apache-2.0

// Package nodeexchange defines how the node program on a client node gets its credential
// for EPIC's API: it sends its pod's token to the cluster's connector, over TLS, and gets
// a kubeconfig that is valid for an hour.
package nodeexchange

const (
	// Path is the path of the connector's endpoint, for POST requests without a body.
	Path = "/v1/node-credential"
	// Audience is the audience of the tokens that are projected into the pods of the node
	// program.
	Audience = "epic-connector"
	// maxAnswer limits a response, and maxText the text of a rejection.
	maxAnswer, maxText = 1 << 20, 2048
)

// Answer is the response to a node.
type Answer struct {
	// Kubeconfig is a kubeconfig for EPIC's API as this node.
	Kubeconfig []byte `json:"kubeconfig"`
	// Address is the address by which EPIC identifies the node.
	Address string `json:"address"`
}

// SPDX-License-Identifier: Apache-2.0

// Package gatewaycluster holds what the server knows about the gateway cluster beyond
// the API that it serves: the pods of proxies, and the Nodes on which they run.
package gatewaycluster

// SPDX-License-Identifier: Apache-2.0

// Package gatewaycluster has what the server knows of the gateway cluster beyond
// the API that it serves: the pods of proxies, and the Nodes on which they run.
package gatewaycluster

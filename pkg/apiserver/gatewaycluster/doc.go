// SPDX-License-Identifier: Apache-2.0

// Package gatewaycluster provides the server's view of the gateway cluster: the pods of
// proxies, and the Nodes on which they run.
package gatewaycluster

// SPDX-License-Identifier: Apache-2.0

// Package gatewaynode stores the reports of gateway nodes: an object for each, which
// its node program creates and writes.
package gatewaynode

// SPDX-License-Identifier: Apache-2.0

// Package access reports to the tenant whether EPIC accepts the connector's credential,
// with a condition on the GatewayClasses and a metric. It works without EPIC, and
// therefore before the connector's controllers start.
package access

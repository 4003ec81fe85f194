// SPDX-License-Identifier: Apache-2.0

// Package access reports to the tenant whether EPIC lets the connector in: by a condition on
// the GatewayClasses, and by a metric. It works without EPIC, and so before the connector's
// controllers start.
package access

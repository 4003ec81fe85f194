// SPDX-License-Identifier: Apache-2.0

package translate

import "strings"

// literal escapes text for fields in which Envoy substitutes %COMMANDS%.
func literal(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// statisticName converts a name for use as a part of the names of Envoy's statistics, in
// which dots separate the parts that become labels of metrics. Names of objects and
// hostnames have no underscore, so different names stay different.
func statisticName(s string) string { return strings.ReplaceAll(s, ".", "_") }

// SPDX-License-Identifier: Apache-2.0

package translate

import "strings"

// literal escapes text for the places in which Envoy substitutes %COMMANDS%.
func literal(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// statisticName returns a name as a part of the names of Envoy's statistics, in which dots
// separate the parts that become labels of metrics. Names of objects and hostnames have no
// underscore, so different names stay different.
func statisticName(s string) string { return strings.ReplaceAll(s, ".", "_") }

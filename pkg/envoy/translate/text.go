// SPDX-License-Identifier: Apache-2.0

package translate

import "strings"

// literal escapes text for the places in which Envoy substitutes %COMMANDS%.
func literal(s string) string { return strings.ReplaceAll(s, "%", "%%") }

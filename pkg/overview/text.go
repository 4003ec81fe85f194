// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"fmt"
	"strconv"
)

// none is shown for a missing value.
const none = "-"

// count returns a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// idOrNone returns an assigned ID, or none.
func idOrNone(id int32) string {
	if id == 0 {
		return none
	}
	return strconv.Itoa(int(id))
}

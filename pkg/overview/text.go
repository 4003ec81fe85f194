// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"fmt"
	"strconv"
)

// none stands where there is nothing to show.
const none = "-"

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// idOrNone is an ID that was assigned, or none.
func idOrNone(id int32) string {
	if id == 0 {
		return none
	}
	return strconv.Itoa(int(id))
}

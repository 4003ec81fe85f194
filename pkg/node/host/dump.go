// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// dumpTries is how often a list is read again if it changed while it was read.
const dumpTries = 10

// dump reads a list until it is complete. Each page of an interrupted list is valid, but
// entries may be missing.
func dump[T any](read func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		list, err := read()
		if !errors.Is(err, netlink.ErrDumpInterrupted) || try == dumpTries {
			return list, err
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrMapFull indicates that a map is full. Maps never evict entries; raise the limit.
var ErrMapFull = errors.New("map is full")

// ErrNoTunnel indicates that a tunnel does not exist on this node.
var ErrNoTunnel = errors.New("no such tunnel on this node")

// ErrInUse indicates that another process has the data plane open.
var ErrInUse = errors.New("another node program uses this data plane")

// fullMap recognizes the kernel's error for a full map.
func fullMap(err error) error {
	if errors.Is(err, unix.E2BIG) {
		return fmt.Errorf("%w: %w", ErrMapFull, err)
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

package dataplane

import "errors"

// ErrMapFull says that a map has no room. Maps never evict; the way out is a
// larger limit.
var ErrMapFull = errors.New("map is full")

// ErrNoTunnel says that a tunnel does not exist on this node.
var ErrNoTunnel = errors.New("no such tunnel on this node")

// SPDX-License-Identifier: Apache-2.0

package options

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// permitSharing sets the socket options that allow other sockets to use the same port or
// the same address.
func permitSharing(conn syscall.RawConn, port, address bool) error {
	var optErr error
	err := conn.Control(func(fd uintptr) {
		if port {
			optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
		}
		if optErr == nil && address {
			optErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
		}
	})
	if err != nil {
		return err
	}
	return optErr
}

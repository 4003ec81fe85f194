// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// segmentsOffloaded says whether an interface takes whole TCP segments of any size
// (TSO), which a veth hands over as they are.
func segmentsOffloaded(name string) (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer func() { _ = unix.Close(fd) }()
	// struct ethtool_value behind struct ifreq, as ioctl(SIOCETHTOOL) takes them.
	value := struct{ command, data uint32 }{command: unix.ETHTOOL_GTSO}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)} //nolint:gosec // what the system call takes
	copy(request.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 { //nolint:gosec // the same
		return false, fmt.Errorf("asking interface %s whether it segments: %w", name, errno)
	}
	return value.data != 0, nil
}

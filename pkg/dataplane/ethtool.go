// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// driverOf returns the name of an interface's driver.
func driverOf(name string) (string, error) {
	// struct ethtool_drvinfo, up to the driver's name.
	info := struct {
		command uint32
		driver  [32]byte
		_       [160]byte
	}{command: unix.ETHTOOL_GDRVINFO}
	if err := ethtool(name, unsafe.Pointer(&info)); err != nil { //nolint:gosec // required by the system call
		return "", fmt.Errorf("read the driver of interface %s: %w", name, err)
	}
	return unix.ByteSliceToString(info.driver[:]), nil
}

// ethtool sends a request, which is in a structure that also receives the response.
func ethtool(name string, structure unsafe.Pointer) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	// struct ifreq for ioctl(SIOCETHTOOL).
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: structure}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 { //nolint:gosec // the same
		return errno
	}
	return nil
}

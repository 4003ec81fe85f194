// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Offload is a feature of an interface that ethtool enables or disables.
type Offload uint32

// The offloads, as the commands of linux/ethtool.h that set them.
const (
	TSO        Offload = unix.ETHTOOL_STSO
	GSO        Offload = unix.ETHTOOL_SGSO
	GRO        Offload = unix.ETHTOOL_SGRO
	TXChecksum Offload = unix.ETHTOOL_STXCSUM
	RXChecksum Offload = unix.ETHTOOL_SRXCSUM
)

// SetOffload enables or disables offloads of an interface.
func (n *Namespace) SetOffload(name string, on bool, offloads ...Offload) error {
	return n.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer func() { _ = unix.Close(fd) }()
		for _, offload := range offloads {
			if err := setOffload(fd, name, offload, on); err != nil {
				return fmt.Errorf("interface %s: offload %#x: %w", name, uint32(offload), err)
			}
		}
		return nil
	})
}

func setOffload(fd int, name string, offload Offload, on bool) error {
	// struct ethtool_value of linux/ethtool.h
	value := struct{ command, data uint32 }{command: uint32(offload)}
	if on {
		value.data = 1
	}
	// struct ifreq of linux/if.h, whose union is a pointer here
	var request struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	request.data = unsafe.Pointer(&value) //nolint:gosec // the ioctl takes a pointer
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
		uintptr(unsafe.Pointer(&request))) //nolint:gosec // the ioctl takes a pointer
	if errno != 0 {
		return errno
	}
	return nil
}

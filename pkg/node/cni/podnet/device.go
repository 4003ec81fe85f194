// SPDX-License-Identifier: Apache-2.0

package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"unsafe"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/ownthread"
)

// ethtoolSetGRO is ETHTOOL_SGRO of linux/ethtool.h.
const ethtoolSetGRO = 0x2c

// setGRO enables generic receive offload. On a veth, it merges packets of a stream that
// were segmented for the tunnel.
func setGRO(name string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	value := struct{ cmd, data uint32 }{ethtoolSetGRO, 1}
	var req struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}
	copy(req.name[:unix.IFNAMSIZ-1], name)
	req.data = unsafe.Pointer(&value)                                                                         //nolint:gosec // the ioctl takes a structure with a pointer
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req))) //nolint:gosec // see above
	runtime.KeepAlive(&value)
	// Without GRO for this device, the kernel is slower but works.
	if errno != 0 && !errors.Is(errno, unix.EOPNOTSUPP) {
		return errno
	}
	return nil
}

// enableIPv6 enables IPv6 on an interface, in case it is disabled for new ones.
func enableIPv6(name string) error {
	err := os.WriteFile(filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6"), []byte("0"), 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the kernel does not support IPv6, but the proxy has an IPv6 address: enable IPv6 on the node, or use a pool of IPv4 addresses")
	}
	return err
}

// inNamespace runs f on its own thread in a network namespace.
func inNamespace(ns netns.NsHandle, f func() error) error {
	if !ns.IsOpen() {
		return f()
	}
	return ownthread.Run(func() error {
		if err := netns.Set(ns); err != nil {
			return fmt.Errorf("enter the network namespace: %w", err)
		}
		return f()
	})
}

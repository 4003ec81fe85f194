// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Wire captures and sends frames at an interface, without processing by the namespace's
// network stack.
type Wire struct{ fd int }

// Frame is a captured frame.
type Frame struct {
	// Bytes begin with the Ethernet header. Checksums may be missing if they are
	// offloaded.
	Bytes []byte
	// Out indicates that the frame left the namespace.
	Out bool
}

// Wire starts to capture frames at an interface.
func (n *Namespace) Wire(device string) (*Wire, error) {
	index, err := n.Index(device)
	if err != nil {
		return nil, err
	}
	all := binary.NativeEndian.Uint16([]byte{unix.ETH_P_ALL >> 8, unix.ETH_P_ALL & 0xff})
	w := &Wire{}
	err = n.Do(func() (err error) {
		w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", device, err)
	}
	if err := unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index}); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", device, err), w.Close())
	}
	return w, nil
}

// Close ends the capture.
func (w *Wire) Close() error { return unix.Close(w.fd) }

// Send sends a frame by the interface.
func (w *Wire) Send(frame []byte) error {
	_, err := unix.Write(w.fd, frame)
	return err
}

// Frames returns the frames captured since the last call. It does not wait.
func (w *Wire) Frames() ([]Frame, error) {
	var out []Frame
	b := make([]byte, 1<<16)
	for {
		n, from, err := unix.Recvfrom(w.fd, b, 0)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return out, nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return out, fmt.Errorf("read frames: %w", err)
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || link.Ifindex == 0 {
			continue
		}
		out = append(out, Frame{Bytes: append([]byte(nil), b[:n]...), Out: link.Pkttype == unix.PACKET_OUTGOING})
	}
}

// SPDX-License-Identifier: Apache-2.0

package layer2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// link is an interface on which this node answers.
type link struct {
	name  string
	index int
	mac   MAC
	// arp and neighbors receive the two protocols. Both can send.
	arp, neighbors *os.File

	mu        sync.Mutex
	elections map[netip.Addr]*Election
	done      sync.WaitGroup
}

// openLink opens an interface's sockets.
func openLink(name string) (*link, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	if len(i.HardwareAddr) != len(MAC{}) {
		return nil, errors.New("it is not an Ethernet interface")
	}
	l := &link{name: name, index: i.Index, mac: MAC(i.HardwareAddr), elections: map[netip.Addr]*Election{}}
	if l.arp, err = openSocket(i.Index, unix.ETH_P_ARP, nil); err != nil {
		return nil, err
	}
	if l.neighbors, err = openSocket(i.Index, unix.ETH_P_IPV6, onlyNeighbors()); err != nil {
		_ = l.arp.Close()
		return nil, err
	}
	for _, socket := range []*os.File{l.arp, l.neighbors} {
		l.done.Go(func() { l.read(socket) })
	}
	return l, nil
}

// same reports whether the interface is still the one that was opened.
func (l *link) same() bool {
	i, err := net.InterfaceByName(l.name)
	return err == nil && i.Index == l.index && len(i.HardwareAddr) == len(l.mac) && MAC(i.HardwareAddr) == l.mac
}

func (l *link) close() {
	_ = l.arp.Close()
	_ = l.neighbors.Close()
	l.done.Wait()
}

// onlyNeighbors filters everything except solicitations and advertisements, so a busy
// node does not read all of its packets twice.
func onlyNeighbors() []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadAbsolute{Off: etherSize + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: icmpv6, SkipTrue: 4},
		bpf.LoadAbsolute{Off: etherSize + ipv6Size, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: solicitation, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: advertisement, SkipTrue: 1},
		bpf.RetConstant{Val: maxFrame},
		bpf.RetConstant{Val: 0},
	}
}

// maxFrame exceeds the size of any relevant frame.
const maxFrame = 512

// openSocket opens a packet socket for one protocol of an interface.
func openSocket(index int, protocol uint16, filter []bpf.Instruction) (*os.File, error) {
	// Without a protocol, nothing arrives before the filter is attached.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	if filter != nil {
		raw, err := bpf.Assemble(filter)
		if err == nil {
			err = attach(fd, raw)
		}
		if err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("filter a packet socket: %w", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: swapped(protocol), Ifindex: index}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("bind a packet socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "packet"), nil
}

func attach(fd int, raw []bpf.RawInstruction) error {
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

// swapped converts a number to network byte order.
func swapped(n uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], n)
	return binary.NativeEndian.Uint16(b[:])
}

// join joins the multicast group for an IPv6 address, so the interface receives
// solicitations for it.
func (l *link) join(a netip.Addr, join bool) error {
	if a.Is4() {
		return nil
	}
	_, group := solicited(a)
	request := &unix.PacketMreq{Ifindex: int32(l.index), Type: unix.PACKET_MR_MULTICAST, Alen: uint16(len(group))}
	copy(request.Address[:], group[:])
	option := unix.PACKET_DROP_MEMBERSHIP
	if join {
		option = unix.PACKET_ADD_MEMBERSHIP
	}
	raw, err := l.neighbors.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	err = raw.Control(func(fd uintptr) {
		result = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, option, request)
	})
	return errors.Join(err, result)
}

// read handles frames until the socket is closed.
func (l *link) read(socket *os.File) {
	buffer := make([]byte, maxFrame)
	for {
		n, err := socket.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			// The interface is down or was removed.
			time.Sleep(probeEvery)
			continue
		}
		if m, ok := Parse(buffer[:n]); ok {
			l.take(m, time.Now())
		}
	}
}

// take passes a message to the election of its address, and answers if the election
// decides so.
func (l *link) take(m Message, now time.Time) {
	l.mu.Lock()
	e := l.elections[m.Target]
	answer := false
	if e != nil {
		switch m.Kind {
		case Want:
			answer = e.Probed(m.From, now)
		case Question:
			answer = e.Asked()
		case Claim:
			e.Claimed(m.From, now)
		}
	}
	l.mu.Unlock()
	if answer {
		l.send(answerFrame(l.mac, m))
	}
}

// send sends a frame. A lost frame is eventually repeated.
func (l *link) send(frame []byte) { _, _ = l.arp.Write(frame) }

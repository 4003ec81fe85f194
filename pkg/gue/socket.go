// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

const (
	// readAtOnce is the maximum number of packets per system call.
	readAtOnce = 64
	// receiveBuffer holds the PINGs of thousands of tunnels while the program is busy.
	// The kernel may provide less.
	receiveBuffer = 4 << 20
	// networkControl is the DSCP CS6, which keeps tunnels up when links are congested.
	networkControl = 0xc0
)

// Socket carries control packets over UDP: one socket for each family, at one port of all
// addresses of the host. It reports the destination address of received packets, and
// sends from a given source address.
type Socket struct {
	families []*family
	// SendErrors counts packets that the kernel did not accept.
	SendErrors atomic.Uint64
}

// family is the socket of one family. ipv4 and ipv6 have the same message type.
type family struct {
	is6       bool
	conn      *net.UDPConn
	read      func([]ipv4.Message, int) (int, error)
	write     func([]ipv4.Message, int) (int, error)
	localOf   func(oob []byte) (netip.Addr, bool)
	oobSource func(netip.Addr) []byte
}

// Listen opens the sockets. On a host without IPv6, or without IPv4, it only opens the
// other.
func Listen(ctx context.Context, port uint16) (*Socket, error) {
	s := &Socket{}
	for _, network := range []string{"udp4", "udp6"} {
		f, err := listen(ctx, network, port)
		switch {
		case errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL):
			continue
		case errors.Is(err, unix.EADDRINUSE):
			return nil, errors.Join(fmt.Errorf("UDP port %d is used by another program: stop it, or use another port: %w", port, err), s.Close())
		case err != nil:
			return nil, errors.Join(fmt.Errorf("listen at UDP port %d: %w", port, err), s.Close())
		}
		if port == 0 {
			port = f.port()
		}
		s.families = append(s.families, f)
	}
	if len(s.families) == 0 {
		return nil, errors.New("listen for control packets: the host has neither IPv4 nor IPv6")
	}
	return s, nil
}

func listen(ctx context.Context, network string, port uint16) (*family, error) {
	var lc net.ListenConfig
	packetConn, err := lc.ListenPacket(ctx, network, fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, err
	}
	conn, ok := packetConn.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("socket of type %T", packetConn), packetConn.Close())
	}
	f := &family{is6: network == "udp6", conn: conn}
	if f.is6 {
		err = f.use6()
	} else {
		err = f.use4()
	}
	// A smaller buffer is sufficient to start.
	_ = conn.SetReadBuffer(receiveBuffer)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return f, nil
}

func (f *family) use4() error {
	p := ipv4.NewPacketConn(f.conn)
	f.read, f.write = p.ReadBatch, p.WriteBatch
	f.localOf = func(oob []byte) (netip.Addr, bool) {
		var cm ipv4.ControlMessage
		if cm.Parse(oob) != nil {
			return netip.Addr{}, false
		}
		return netip.AddrFromSlice(cm.Dst)
	}
	f.oobSource = func(a netip.Addr) []byte { return (&ipv4.ControlMessage{Src: a.AsSlice()}).Marshal() }
	return errors.Join(p.SetControlMessage(ipv4.FlagDst, true), p.SetTOS(networkControl))
}

func (f *family) use6() error {
	p := ipv6.NewPacketConn(f.conn)
	f.read, f.write = p.ReadBatch, p.WriteBatch
	f.localOf = func(oob []byte) (netip.Addr, bool) {
		var cm ipv6.ControlMessage
		if cm.Parse(oob) != nil {
			return netip.Addr{}, false
		}
		return netip.AddrFromSlice(cm.Dst)
	}
	f.oobSource = func(a netip.Addr) []byte { return (&ipv6.ControlMessage{Src: a.AsSlice()}).Marshal() }
	return errors.Join(p.SetControlMessage(ipv6.FlagDst, true), p.SetTrafficClass(networkControl))
}

func (f *family) port() uint16 {
	a, ok := f.conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return 0
	}
	return a.AddrPort().Port()
}

// Port returns the UDP port.
func (s *Socket) Port() uint16 { return s.families[0].port() }

// Close ends Serve.
func (s *Socket) Close() error {
	var errs []error
	for _, f := range s.families {
		if err := f.conn.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Serve calls handle for each packet, and sends the reply if it returns true, until the
// context ends or a socket fails. It then closes the sockets. handle is called
// concurrently for both families, and must not keep the packet.
func (s *Socket) Serve(ctx context.Context, handle func(local, from netip.AddrPort, packet []byte, reply *[PacketSize]byte) bool) error {
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	errs := make([]error, len(s.families))
	var wg sync.WaitGroup
	for i, f := range s.families {
		wg.Go(func() {
			errs[i] = s.serve(f, handle)
			_ = s.Close()
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(errs...)
}

func (s *Socket) serve(f *family, handle func(local, from netip.AddrPort, packet []byte, reply *[PacketSize]byte) bool) error {
	in, out := make([]ipv4.Message, readAtOnce), make([]ipv4.Message, 0, readAtOnce)
	for i := range in {
		// One byte more, so a packet that is too long is detected.
		in[i].Buffers = [][]byte{make([]byte, PacketSize+1)}
		in[i].OOB = make([]byte, 128)
	}
	replies := make([][PacketSize]byte, readAtOnce)
	port := f.port()
	for {
		n, err := f.read(in, 0)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			// An error caused by a peer's ICMP error is not a reason to stop.
			if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EINTR) {
				continue
			}
			return fmt.Errorf("receive control packets: %w", err)
		}
		out = out[:0]
		for i := range in[:n] {
			from, ok := in[i].Addr.(*net.UDPAddr)
			if !ok {
				continue
			}
			local, ok := f.localOf(in[i].OOB[:in[i].NN])
			if !ok {
				continue
			}
			if handle(netip.AddrPortFrom(local, port), from.AddrPort(), in[i].Buffers[0][:in[i].N], &replies[i]) {
				out = append(out, ipv4.Message{Buffers: [][]byte{replies[i][:]}, Addr: from, OOB: f.oobSource(local)})
			}
		}
		s.send(f, out)
	}
}

// Packet is one packet to send.
type Packet struct {
	Local, Remote netip.AddrPort
	Bytes         [PacketSize]byte
}

// Send sends packets. Packets that can't be sent are counted and lost.
func (s *Socket) Send(packets []Packet) {
	for _, f := range s.families {
		var out []ipv4.Message
		for i := range packets {
			p := &packets[i]
			if p.Remote.Addr().Unmap().Is6() != f.is6 {
				continue
			}
			m := ipv4.Message{Buffers: [][]byte{p.Bytes[:]}, Addr: net.UDPAddrFromAddrPort(p.Remote)}
			if p.Local.Addr().IsValid() {
				m.OOB = f.oobSource(p.Local.Addr().Unmap())
			}
			out = append(out, m)
		}
		s.send(f, out)
	}
}

func (s *Socket) send(f *family, out []ipv4.Message) {
	for len(out) > 0 {
		n, err := f.write(out, 0)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || n == 0 {
			// The first of the remaining packets is at fault.
			s.SendErrors.Add(1)
			n = max(n, 0) + 1
		}
		out = out[min(n, len(out)):]
	}
}

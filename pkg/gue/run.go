// SPDX-License-Identifier: Apache-2.0

package gue

import (
	"context"
	"net/netip"
	"time"
)

// Serve answers packets from the sockets until the context ends.
func (r *Responder) Serve(ctx context.Context, s *Socket) error {
	return s.Serve(ctx, func(local, from netip.AddrPort, packet []byte, reply *[PacketSize]byte) bool {
		_, answer := r.Handle(local, from, packet, reply)
		return answer
	})
}

// Serve sends PINGs and handles their answers through the sockets until the context ends.
func (i *Initiator) Serve(ctx context.Context, s *Socket) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.pings(ctx, s)
	}()
	err := s.Serve(ctx, func(local, from netip.AddrPort, packet []byte, _ *[PacketSize]byte) bool {
		if _, more := i.Handle(local, from, packet); more {
			i.wakeUp()
		}
		return false
	})
	cancel()
	<-done
	return err
}

func (i *Initiator) pings(ctx context.Context, s *Socket) {
	var packets []Packet
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-i.wake:
		}
		packets = packets[:0]
		next := i.Poll(func(local, remote netip.AddrPort, packet *[PacketSize]byte) {
			packets = append(packets, Packet{Local: local, Remote: remote, Bytes: *packet})
		})
		s.Send(packets)
		timer.Reset(next.Sub(i.now()))
	}
}

// wakeUp makes the sending loop check again.
func (i *Initiator) wakeUp() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

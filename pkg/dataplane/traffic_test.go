// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

// family names a family.
func family(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}

// transfer sends bytes both ways over one connection from the proxy to the pod.
func (w *world) transfer(v6 bool, bytes int64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	address := port(podAddress[v6], worldPort).String()
	listener, err := w.pod.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			defer conn.Close()
			deadline, _ := ctx.Deadline()
			_ = conn.SetDeadline(deadline)
			_, err = io.CopyN(conn, conn, bytes)
		}
		served <- err
	}()
	conn, err := w.proxy.Dial(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connecting: %w", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	go func() {
		_, _ = io.CopyN(conn, zeroes{}, bytes)
	}()
	if n, err := io.CopyN(io.Discard, conn, bytes); err != nil {
		return fmt.Errorf("after %d bytes: %w", n, err)
	}
	return <-served
}

type zeroes struct{}

func (zeroes) Read(b []byte) (int, error) { return len(b), nil }

func TestTCP(t *testing.T) {
	for _, outer6 := range []bool{false, true} {
		for _, how := range []struct {
			name     string
			xdp      XDP
			offloads bool
			mtu      int
			hook     Hook
		}{
			{"tcx, whole segments", XDPOff, true, 1500, HookTCX},
			{"tcx, as on a wire", XDPOff, false, 1500, HookTCX},
			{"XDP, as on a wire", XDPNative, false, 1500, HookAuto},
			{"clsact, small MTU", XDPOff, true, 1380, HookClsact},
		} {
			t.Run(family(outer6)+" outside, "+how.name, func(t *testing.T) {
				w := newWorld(t, how.mtu)
				w.gatewayOptions.XDP, w.nodeOptions.XDP = how.xdp, how.xdp
				w.gatewayOptions.Hook, w.nodeOptions.Hook = how.hook, how.hook
				w.open()
				must(t, w.gateway.SetOffload("eth0", how.offloads, netlab.TSO, netlab.GSO))
				must(t, w.node.SetOffload("eth0", how.offloads, netlab.TSO, netlab.GSO))
				w.connect(outer6)
				for _, v6 := range []bool{false, true} {
					if err := w.transfer(v6, 4<<20); err != nil {
						t.Errorf("%s inside: %v; dropped:%s", family(v6), err, w.drops())
					}
				}
				counters, err := w.gatewaySide.Tunnels().Counters(worldTunnel)
				must(t, err)
				if c := counters[worldTunnel]; c.SentBytes < 8<<20 || c.ReceivedBytes < 8<<20 {
					t.Errorf("the gateway counted %+v of more than %d bytes each way", c, 8<<20)
				}
			})
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	messages "github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/test/netlab"
)

// floodRate is the rate of a flood in packets per second, if the machine manages it.
const floodRate = 400_000

// floodFor is how long each flood lasts.
const floodFor = 1200 * time.Millisecond

// flood is one, and where it comes in.
type flood struct {
	name string
	// by is the host and the interface that send.
	host, device string
	netlab.Flood
	// drop is the reason for which its packets are counted at the gateway, if they are.
	drop DropReason
}

// Offsets in frames over IPv4.
const (
	ip4ID     = 14 + 4
	udpSource = 14 + 20
	gueTunnel = 14 + 20 + 8 + 4
	tcpLow    = 14 + 20 + 6 // the lower half of the sequence number
)

func (a *attacked) floods() []flood {
	gateway, node := port(gatewayAddress[false], DefaultPort), port(nodeAddress[false], DefaultPort)
	own := port(stranger[false], DefaultPort)
	pod, proxy := podBehind(false, false), proxyAddress[false]
	from := a.macs["router eth0"]
	in := func(name string, drop DropReason, packet []byte, balance int, random ...int) flood {
		return flood{name, "link", "gateway", netlab.Flood{Frame: ether(a.macs["gateway eth0"], from, packet), Random: random, Balance: balance, Rate: floodRate}, drop}
	}
	byProxy := func(name string, drop DropReason, packet []byte, random ...int) flood {
		return flood{name, "proxy2", "net1", netlab.Flood{Frame: a.frame("proxy2 net1", "gateway proxy1", packet), Random: random, Rate: floodRate}, drop}
	}
	reply := segment(pod, proxy, worldPort, 40000, []byte("forged"))
	var wrong [messages.KeySize]byte
	var control [messages.PacketSize]byte
	ping := messages.Message{Tunnel: victimTunnel, Type: messages.Ping, KeyID: 1, Sequence: 1 << 62}
	ping.Encode(&control, &wrong)
	controlOf := func(from netip.AddrPort) []byte {
		return outerAs(from, gateway, 0, udp(from.Port(), gateway.Port(), control[:]))
	}
	syn := ip(stranger[false], proxy, protoTCP, tcp(0, publicPort, flagSYN, mss(1460), nil))
	return []flood{
		in("forged data", DropWrongRemote, outer(own, gateway, victimTunnel, reply), 0, udpSource),
		in("forged data of unknown tunnels", DropUnknownTunnel, outer(node, gateway, 1<<30, reply), 0, gueTunnel+2),
		in("forged data with the node's address", DropNotRegistered, outer(node, gateway, victimTunnel, segment("10.244.99.1", proxy, worldPort, 40000, []byte("forged"))), 0, ip4ID),
		in("bad headers", DropBadHeader, outerAs(own, gateway, 0, badGUE(own.Port(), gateway.Port())), 0, udpSource),
		in("outer fragments", DropOuterFragment, ip4{flags: moreFragments}.packet(stranger[false], gatewayAddress[false], protoUDP, gueOf(own.Port(), gateway.Port(), wordIPv4, victimTunnel, reply)), 0, ip4ID+0),
		in("forged control", "", controlOf(own), 0, udpSource),
		in("forged control with the node's address", "", controlOf(node), 0, gueTunnel+12),
		in("opened connections", "", changedSum(syn, 20, tcpLow-14), tcpLow, udpSource),
		byProxy("inner fragments of another tenant", "", ip4{flags: moreFragments}.packet(othersProxy[false], pod, protoUDP, udp(40000, worldPort, make([]byte, 64))), ip4ID),
		byProxy("another tenant's packets that are too big", DropTooBig, ip(othersProxy[false], pod, protoTCP, tcp(40000, worldPort, flagACK, nil, make([]byte, 1460))), ip4ID),
		byProxy("another tenant's connections to nowhere", DropNotAnAnswer, ip(othersProxy[false], stranger[false], protoTCP, tcp(40000, 80, flagSYN, nil, nil)), udpSource),
	}
}

// badGUE is a datagram whose GUE header no tunnel has.
func badGUE(source, destination uint16) []byte {
	return gueOf(source, destination, 0x41048000, victimTunnel, make([]byte, 32))
}

// changedSum prepares a TCP segment for a random source port and a sequence number that
// balances it: both add up to the same.
func changedSum(packet []byte, source, balance int) []byte {
	packet[source], packet[source+1], packet[balance], packet[balance+1] = 0, 0, 0xff, 0xff
	copy(packet[20:], summed(protoTCP, packet[12:16], packet[16:20], packet[20:]))
	return packet
}

// established is traffic of the first tenant that keeps during floods.
type established struct {
	sent, back atomic.Uint64
	tcp        net.Conn
	udp        net.Conn
	stop       context.CancelFunc
	wait       sync.WaitGroup
}

// establish opens a connection through the tunnel and keeps datagrams going, of which some
// are fragmented.
func (a *attacked) establish() *established {
	e := &established{}
	address := port(podBehind(false, false), worldPort).String()
	listener, err := a.hosts["pod"].Listen(a.Context(), "tcp", address)
	must(a, err)
	a.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	echo, err := a.hosts["pod"].ListenPacket(a.Context(), "udp", address)
	must(a, err)
	a.Cleanup(func() { echo.Close() })
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, from, err := echo.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(b[:n], from)
		}
	}()
	e.tcp, err = a.hosts["proxy"].Dial(a.Context(), "tcp", address)
	must(a, err)
	a.Cleanup(func() { e.tcp.Close() })
	e.udp, err = a.hosts["proxy"].Dial(a.Context(), "udp", address)
	must(a, err)
	a.Cleanup(func() { e.udp.Close() })
	var ctx context.Context
	ctx, e.stop = context.WithCancel(a.Context())
	e.wait.Go(func() {
		b := make([]byte, 4000)
		for ctx.Err() == nil {
			size := 100
			if e.sent.Load()%4 == 3 {
				size = len(b)
			}
			if _, err := e.udp.Write(b[:size]); err == nil {
				e.sent.Add(1)
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
	e.wait.Go(func() {
		b := make([]byte, 1<<16)
		for ctx.Err() == nil {
			_ = e.udp.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := e.udp.Read(b); err == nil {
				e.back.Add(1)
			}
		}
	})
	return e
}

// alive reports whether the connection still carries something.
func (e *established) alive() error {
	want := []byte("still there")
	if err := e.tcp.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := e.tcp.Write(want); err != nil {
		return err
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(e.tcp, got); err != nil {
		return err
	}
	return nil
}

// control runs both ends of the control protocol of the first tenant's tunnel.
func (a *attacked) control() *messages.Responder {
	key := messages.Key{ID: 1, Bytes: [messages.KeySize]byte{7}}
	here, there := port(gatewayAddress[false], DefaultPort), port(nodeAddress[false], DefaultPort)
	responder := messages.NewResponder(messages.ResponderOptions{Move: func(id uint32, remote netip.AddrPort) error {
		return a.sides["gateway"].Tunnels().SetRemote(id, remote)
	}})
	must(a, responder.Set(messages.ResponderTunnel{ID: victimTunnel, Local: here, Keys: []messages.Key{key}}))
	var sequence atomic.Uint64
	initiator := messages.NewInitiator(messages.InitiatorOptions{
		Interval: 100 * time.Millisecond, Rate: 1000, Sequence: func() uint64 { return sequence.Add(1) },
	})
	must(a, initiator.Set(messages.InitiatorTunnel{ID: victimTunnel, Local: there, Remote: here, Keys: []messages.Key{key}}))
	for host, serve := range map[string]func(context.Context, *messages.Socket) error{"gateway": responder.Serve, "node": initiator.Serve} {
		var socket *messages.Socket
		must(a, a.hosts[host].Do(func() (err error) { socket, err = messages.Listen(a.Context(), DefaultPort); return err }))
		ctx, cancel := context.WithCancel(a.Context())
		done := make(chan struct{})
		go func() { defer close(done); _ = serve(ctx, socket) }()
		a.Cleanup(func() { cancel(); <-done; socket.Close() })
	}
	return responder
}

// A flood of 400,000 packets a second costs established tunnels packets, as any load does, but
// no tunnel, no connection and nothing that they had learned, and every packet is counted.
func TestFloods(t *testing.T) {
	a := newAttacked(t)
	must(t, errors.Join(
		a.hosts["gateway"].SetOffload("eth0", true, netlab.GRO), a.hosts["gateway"].SetOffload("proxy1", true, netlab.GRO),
		a.hosts["proxy"].Sysctl("ipv4.tcp_syncookies", "1"),
	))
	listener, err := a.hosts["proxy"].Listen(t.Context(), "tcp", port(proxyAddress[false], publicPort).String())
	must(t, err)
	defer listener.Close()
	responder := a.control()
	e := a.establish()
	defer func() { e.stop(); e.wait.Wait() }()
	verified := func() error {
		state, ok := responder.State(victimTunnel)
		if !ok || state.Remote != port(nodeAddress[false], DefaultPort) || time.Since(state.Seen) > time.Second {
			return fmt.Errorf("the control protocol has %+v", state)
		}
		return nil
	}
	until(t, verified)
	for _, f := range a.floods() {
		t.Run(f.name, func(t *testing.T) {
			drops, all := dropsOf(t, a.sides["gateway"], f.drop), a.drops(t)
			sentBefore, backBefore := e.sent.Load(), e.back.Load()
			ctx, cancel := context.WithTimeout(t.Context(), floodFor)
			defer cancel()
			begin := time.Now()
			sent, err := a.hosts[f.host].Flood(ctx, f.device, f.Flood)
			took := time.Since(begin).Seconds()
			must(t, err)
			lost := int64(e.sent.Load()-sentBefore) - int64(e.back.Load()-backBefore)
			counted := dropsOf(t, a.sides["gateway"], f.drop) - drops
			t.Logf("%.0f packets/s sent, %.0f counted; the tunnel sent %d and lost %d (%.1f %%)", float64(sent)/took, float64(counted)/took,
				e.sent.Load()-sentBefore, max(lost, 0), 100*float64(max(lost, 0))/float64(max(e.sent.Load()-sentBefore, 1)))
			if others := since(all, a.drops(t)); len(others) > 1 || f.drop == "" && len(others) > 0 {
				t.Errorf("counted are %v", others)
			}
			// A send that is interrupted is done again, so more may arrive than is known of.
			if f.drop != "" && counted < sent/2 {
				t.Errorf("of %d packets %d are counted as %s", sent, counted, f.drop)
			}
			if err := e.alive(); err != nil {
				t.Errorf("the connection through the tunnel is broken: %v", err)
			}
			until(t, verified)
			tunnels, err := a.sides["gateway"].Tunnels().List()
			must(t, err)
			for _, tunnel := range tunnels {
				if tunnel.ID == victimTunnel && tunnel.Remote != port(nodeAddress[false], DefaultPort) {
					t.Errorf("the tunnel's remote is %v", tunnel.Remote)
				}
			}
			before := e.back.Load()
			until(t, func() error {
				if now := e.back.Load(); now < before+50 {
					return fmt.Errorf("%d answers", now-before)
				}
				return nil
			})
		})
	}
	if n, err := a.sides["gateway"].Repair(); err != nil || n != 0 {
		t.Errorf("%d things had to be mended: %v", n, err)
	}
}

// secondPods starts another pod of each tenant's proxy, with the same IPv4 address.
func (a *attacked) secondPods() {
	h := a.hosts
	for _, pod := range []struct {
		name, inside, address, proxy string
		tunnel                       uint32
	}{{"proxyB", "proxy2", proxyAddress[false], "proxy", victimTunnel}, {"proxy2B", "proxy3", othersProxy[false], "proxy2", othersTunnel}} {
		must(a, netlab.Veth(h["gateway"], pod.inside, h[pod.name], "net1", 1500))
		link, err := h["gateway"].LinkByName(pod.inside)
		must(a, err)
		bridge, err := h["gateway"].LinkByName("br0")
		must(a, err)
		must(a, errors.Join(
			h["gateway"].LinkSetMaster(link, bridge), h["gateway"].LinkSetIsolated(link, true),
			h[pod.name].Addr("net1", pod.address+"/24"), h[pod.name].Route("0.0.0.0/0", bridgeAddress[false], ""),
			h["gateway"].Do(func() error {
				return a.sides["gateway"].Proxies().Put(Proxy{
					Interface: link.Attrs().Index, PeerMAC: mac(a, h[pod.name], "net1"), Addresses: []netip.Addr{netip.MustParseAddr(pod.address)},
				})
			}),
		))
		for _, protocol := range []uint8{protoTCP, protoUDP} {
			must(a, a.sides["gateway"].Services().Put(Service{
				Tunnel: pod.tunnel, Endpoint: port(podBehind(false, false), worldPort), Protocol: protocol, Interface: link.Attrs().Index,
			}))
		}
	}
}

// A connection of one of a proxy's pods, which is silent during a flood of flows of another
// tenant's proxy, continues after that, also if the endpoint speaks first.
func TestFloodOfFlows(t *testing.T) {
	a := newAttacked(t)
	a.secondPods()
	must(t, a.hosts["gateway"].SetOffload("proxy1", true, netlab.GRO))
	at := port(podBehind(false, false), worldPort)
	listener, err := a.hosts["pod"].Listen(t.Context(), "tcp", at.String())
	must(t, err)
	defer listener.Close()
	near, err := a.hosts["proxyB"].Dial(t.Context(), "tcp", at.String())
	must(t, err)
	defer near.Close()
	far, err := listener.Accept()
	must(t, err)
	defer far.Close()
	flood := netlab.Flood{
		Frame:  a.frame("proxy2 net1", "gateway proxy1", ip(othersProxy[false], at.Addr().String(), protoUDP, udp(0, at.Port(), make([]byte, 8)))),
		Random: []int{udpSource}, Rate: floodRate,
	}
	ctx, cancel := context.WithTimeout(t.Context(), floodFor)
	defer cancel()
	sent, err := a.hosts["proxy2"].Flood(ctx, "net1", flood)
	must(t, err)
	counts, err := a.sides["gateway"].FlowCounts()
	must(t, err)
	t.Logf("%d packets; %+v", sent, counts)
	if len(counts) != 2 || counts[1].Address.String() != othersProxy[false] || counts[1].Noted < 4*1024 {
		t.Errorf("the flood is counted as %+v", counts)
	}
	want := []byte("after the flood")
	must(t, errors.Join(far.SetDeadline(time.Now().Add(30*time.Second)), near.SetDeadline(time.Now().Add(30*time.Second))))
	_, err = far.Write(want)
	must(t, err)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(near, got); err != nil {
		t.Errorf("what the endpoint sends after the flood does not arrive: %v", err)
	}
	if counts, err = a.sides["gateway"].FlowCounts(); err != nil || counts[0].Unknown != 0 {
		t.Errorf("flows of the proxy that was not flooded are counted as %+v: %v", counts, err)
	}
}

// Packets of one tenant's proxy whose first fragments went into the tunnel before a flood of
// fragments of another tenant's proxy arrive when the rest follows.
func TestFloodOfFragments(t *testing.T) {
	a := newAttacked(t)
	must(t, a.hosts["gateway"].SetOffload("proxy1", true, netlab.GRO))
	at := port(podBehind(false, false), worldPort)
	pod, err := a.hosts["pod"].ListenPacket(t.Context(), "udp", at.String())
	must(t, err)
	defer pod.Close()
	const packets = 20
	send := func(first bool) {
		for id := range uint32(packets) {
			part := partOf(proxyAddress[false], at.Addr().String(), 1+id, first, 40000, worldPort)
			must(t, a.wires["proxy net1"].Send(a.frame("proxy net1", "gateway proxy0", part)))
		}
	}
	send(true)
	until(t, func() error {
		counts, err := a.sides["gateway"].FragmentCounts()
		for _, c := range counts {
			if c.Address.String() == proxyAddress[false] && c.Noted == packets {
				return err
			}
		}
		return fmt.Errorf("the first fragments are counted as %+v: %w", counts, err)
	})
	floods := a.floods()
	flood := floods[slices.IndexFunc(floods, func(f flood) bool { return f.name == "inner fragments of another tenant" })]
	ctx, cancel := context.WithTimeout(t.Context(), floodFor)
	defer cancel()
	sent, err := a.hosts[flood.host].Flood(ctx, flood.device, flood.Flood)
	must(t, err)
	counts, err := a.sides["gateway"].FragmentCounts()
	must(t, err)
	t.Logf("%d packets; %+v", sent, counts)
	if !slices.ContainsFunc(counts, func(c AddressCounts) bool { return c.Address.String() == othersProxy[false] && c.Noted > 2*8192 }) {
		t.Errorf("the flood is counted as %+v", counts)
	}
	send(false)
	must(t, pod.SetReadDeadline(time.Now().Add(20*time.Second)))
	b := make([]byte, 100)
	for i := range packets {
		if _, _, err := pod.ReadFrom(b); err != nil {
			t.Fatalf("%d of %d packets arrive after the flood: %v", i, packets, err)
		}
	}
}

// until waits for something that takes a moment.
func until(t *testing.T, ok func() error) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatal(err)
}

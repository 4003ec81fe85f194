// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/test/netlab"
)

// Where the headers of a frame with IPv4 outside begin.
const (
	ipHeader  = 14
	udpHeader = ipHeader + 20
	gueHeader = udpHeader + 8
)

// copies is how often each packet is sent again.
const copies = 10

// stranger is where no end of a tunnel is.
var stranger = netip.MustParseAddrPort("203.0.113.99:6080")

// captured are packets of one tunnel that went one way.
type captured struct{ control, data []byte }

// wiretap watches a wire for a tunnel's packets that leave by it.
type wiretap struct {
	*netlab.Wire
	tunnel uint32
	captured
}

// read takes the first packet of each kind.
func (w *wiretap) read() error {
	frames, err := w.Frames()
	if err != nil {
		return err
	}
	id := binary.BigEndian.AppendUint32(nil, w.tunnel)
	for _, f := range frames {
		b := f.Bytes
		if !f.Out || len(b) < gueHeader+8 || b[ipHeader-2] != 0x08 || b[ipHeader-1] != 0 || !bytes.Equal(b[gueHeader+4:gueHeader+8], id) {
			continue
		}
		switch {
		case w.control == nil && bytes.HasPrefix(b[gueHeader:], []byte{0x21, 0xff, 0x80, 0}):
			w.control = b
		case w.data == nil && (bytes.HasPrefix(b[gueHeader:], dataHeaders[false]) || bytes.HasPrefix(b[gueHeader:], dataHeaders[true])):
			w.data = b
		}
	}
	if w.control == nil || w.data == nil {
		return fmt.Errorf("control %t, data %t", w.control != nil, w.data != nil)
	}
	return nil
}

// again is a captured packet as somebody sends it who puts another source into it;
// its own stays if that is the zero value.
func again(frame []byte, source netip.AddrPort) []byte {
	b := bytes.Clone(frame)
	if source.IsValid() {
		copy(b[ipHeader+12:], source.Addr().AsSlice())
		binary.BigEndian.PutUint16(b[udpHeader:], source.Port())
	}
	// Offloading may have left the UDP checksum to a card; 0 is none.
	b[udpHeader+6], b[udpHeader+7] = 0, 0
	b[ipHeader+10], b[ipHeader+11] = 0, 0
	sum := uint32(0)
	for i := ipHeader; i < udpHeader; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	binary.BigEndian.PutUint16(b[ipHeader+10:], ^uint16(sum))
	return b
}

// Authentic packets that somebody on the way has noted, and sends again from where
// they came or from elsewhere, move nothing, pass nothing, get no answer, and are
// counted; also when the tunnel's far end is at another address in the meantime.
func replayed(t *testing.T, s *site, v *service) {
	tunnel, err := v.tunnel(s.gateway)
	s.must(err)
	tap := func(n *netlab.Namespace, device string) *wiretap {
		wire, err := n.Wire(device)
		s.must(err)
		t.Cleanup(func() { s.must(wire.Close()) })
		return &wiretap{Wire: wire, tunnel: tunnel.ID}
	}
	toGateway, toNode := tap(s.world.Internet, "gateway"), tap(s.world.Tenants[0].NAT, "in")
	s.until("packets of each kind", func() error {
		_, err := v.get()
		return errors.Join(err, toGateway.read(), toNode.read())
	})
	control, data := toGateway.control, toGateway.data
	s.resent(t, s.gateway, v, toGateway, gue.Replay, [][]byte{again(control, netip.AddrPort{}), again(control, stranger)}, [][]byte{again(data, stranger)})
	s.resent(t, s.tenants[0], v, toNode, gue.Replay, [][]byte{again(toNode.control, netip.AddrPort{})}, [][]byte{again(toNode.data, stranger)})
	s.resent(t, s.tenants[0], v, toNode, gue.WrongAddress, [][]byte{again(toNode.control, stranger)}, nil)
	natChanges(s, v)
	s.resent(t, s.gateway, v, toGateway, gue.Replay, [][]byte{again(control, netip.AddrPort{})}, [][]byte{again(data, netip.AddrPort{})})
}

// resent sends packets of control and of data again towards an end, and checks what happens
// to them.
func (s *site) resent(t *testing.T, e *end, v *service, wire *wiretap, result gue.Result, controls, data [][]byte) {
	t.Helper()
	before, err := v.tunnel(e)
	s.must(err)
	report := e.mustReport()
	_, err = wire.Frames()
	s.must(err)
	for range copies {
		for _, packet := range slices.Concat(controls, data) {
			s.must(wire.Send(packet))
		}
	}
	s.until("all are counted", func() error {
		now := e.mustReport()
		if n := now.Control[result.String()] - report.Control[result.String()]; n < uint64(copies*len(controls)) {
			return fmt.Errorf("%s: %d %s", e.name, n, result)
		}
		if n := now.Drops[dataplane.DropWrongRemote] - report.Drops[dataplane.DropWrongRemote]; n < uint64(copies*len(data)) {
			return fmt.Errorf("%s: %d dropped", e.name, n)
		}
		return nil
	})
	after, err := v.tunnel(e)
	s.must(err)
	if after.Remote != before.Remote {
		t.Errorf("%s: the remote is %s, and was %s", e.name, after.Remote, before.Remote)
	}
	// A connection that is kept open may send a packet of its own.
	if n := after.Counters.ReceivedPackets - before.Counters.ReceivedPackets; n >= copies {
		t.Errorf("%s: %d packets passed", e.name, n)
	}
	frames, err := wire.Frames()
	s.must(err)
	for _, f := range frames {
		if !f.Out && len(f.Bytes) > gueHeader && bytes.Equal(f.Bytes[ipHeader+16:ipHeader+20], stranger.Addr().AsSlice()) {
			t.Errorf("%s answers to where packets seem to be from", e.name)
		}
	}
}

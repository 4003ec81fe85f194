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
	"github.com/acnodal/epic/pkg/node/status"
)

// dataHeaders begin the GUE headers of data packets with IPv4 inside: without a cookie and
// with one.
var dataHeaders = map[bool][]byte{false: {1, 4, 0x80, 0}, true: {3, 4, 0x90, 0}}

// marks counts a tunnel's data packets that pass a wire, with and without a cookie, in both
// directions.
func (w *wiretap) marks() (to, from map[bool]int, err error) {
	frames, err := w.Frames()
	to, from = map[bool]int{}, map[bool]int{}
	id := binary.BigEndian.AppendUint32(nil, w.tunnel)
	for _, f := range frames {
		if len(f.Bytes) < gueHeader+8 || !bytes.Equal(f.Bytes[gueHeader+4:gueHeader+8], id) {
			continue
		}
		for marked, header := range dataHeaders {
			if bytes.HasPrefix(f.Bytes[gueHeader:], header) {
				if f.Out {
					to[marked]++
				} else {
					from[marked]++
				}
			}
		}
	}
	return to, from, err
}

// Two ends are upgraded from the protocol that knows no cookies and rolled back, one after
// the other in both orders, and no packet is lost. Packets have cookies exactly when both
// ends know them, and those without are refused then.
func cookiesNegotiated(t *testing.T, s *site, v *service) {
	tunnel, err := v.tunnel(s.gateway)
	s.must(err)
	wire, err := s.world.Internet.Wire("gateway")
	s.must(err)
	t.Cleanup(func() { s.must(wire.Close()) })
	tap := &wiretap{Wire: wire, tunnel: tunnel.ID}
	both := []*end{s.gateway, s.tenants[v.tenant]}
	restart := func(e *end, policy string, more ...string) {
		t.Helper()
		s.must(e.process.Kill())
		e.run(append(more, "--cookies="+policy)...)
		e.ready()
	}
	use := func(want status.Cookies) {
		t.Helper()
		for _, e := range both {
			s.until(e.name+" uses cookies: "+string(want), func() error {
				tunnel, err := v.tunnel(e)
				if err == nil && tunnel.Cookies != want {
					err = fmt.Errorf("%s, and the tunnel is %s", tunnel.Cookies, tunnel.State)
				}
				return err
			})
		}
	}
	requests := func(r *traffic) {
		t.Helper()
		some := r.requests.Load()
		s.until("requests", func() error {
			if n := r.requests.Load() - some; n < 20 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
	}
	// marked checks what is on the wire from now on.
	marked := func(what string, r *traffic, want bool) {
		t.Helper()
		requests(r)
		_, _, err := tap.marks()
		s.must(err)
		requests(r)
		to, from, err := tap.marks()
		s.must(err)
		if to[!want] > 0 || from[!want] > 0 || to[want] == 0 || from[want] == 0 {
			t.Errorf("%s: packets by whether they have a cookie: to the gateway %v, from it %v", what, to, from)
		}
	}
	use(status.CookiesRequired)
	for _, order := range [][]*end{both, {both[1], both[0]}} {
		first, second := order[0], order[1]
		lost, before := lostSegments(s, v), [2]status.Report{both[0].mustReport(), both[1].mustReport()}
		r := v.traffic()
		marked("both know cookies", r, true)
		restart(first, "off")
		use(status.CookiesNone)
		marked(first.name+" is rolled back", r, false)
		restart(second, "off")
		requests(r)
		use(status.CookiesNone)
		marked("neither knows cookies", r, false)
		restart(first, "auto")
		requests(r)
		use(status.CookiesNone)
		marked(first.name+" is upgraded", r, false)
		restart(second, "auto")
		use(status.CookiesRequired)
		marked("both are upgraded", r, true)
		restart(first, "auto")
		requests(r)
		use(status.CookiesRequired)
		r.stop()
		if n := r.failed.Load(); n > 0 {
			t.Errorf("%s first: %d of %d requests failed", first.name, n, r.requests.Load())
		}
		lost(first.name + " first")
		for i, e := range both {
			now := e.mustReport()
			for _, reason := range []dataplane.DropReason{dataplane.DropNoCookie, dataplane.DropWrongCookie, dataplane.DropBadHeader} {
				if n := now.Drops[reason] - before[i].Drops[reason]; n > 0 {
					t.Errorf("%s dropped %d: %s", e.name, n, reason)
				}
			}
			for _, result := range []gue.Result{gue.Malformed, gue.BadMAC} {
				if n := now.Control[result.String()]; n > 0 {
					t.Errorf("%s refused %d control packets: %s", e.name, n, result)
				}
			}
		}
	}
	bare := spoofed(t, s, v, tap)

	// Refused altogether, also if the far end can do no better. A request would leave
	// connections behind whose segments are sent again for a while.
	restart(both[1], "off")
	restart(both[0], "required")
	dropped := both[0].mustReport().Drops[dataplane.DropNoCookie]
	s.until("the gateway refuses packets without a cookie", func() error {
		s.must(tap.Send(bare))
		if both[0].mustReport().Drops[dataplane.DropNoCookie] == dropped {
			return errors.New("it does not")
		}
		return nil
	})
	restart(both[1], "required")
	use(status.CookiesRequired)
	v.answers(account(v.tenant))
	for _, e := range both {
		s.must(e.process.Stop())
		e.run()
		e.ready()
	}
	use(status.CookiesRequired)
}

// spoofed sends packets to the gateway with the outer addresses of the tunnel's far end,
// without its cookie and with other ones. It returns one without.
func spoofed(t *testing.T, s *site, v *service, tap *wiretap) []byte {
	t.Helper()
	tap.data, tap.control = nil, nil
	s.until("packets of each kind", func() error {
		_, err := v.get()
		return errors.Join(err, tap.read())
	})
	good := again(tap.data, netip.AddrPort{})
	if !bytes.HasPrefix(good[gueHeader:], dataHeaders[true]) {
		t.Fatalf("no cookie in %x", good[gueHeader:])
	}
	wrong := bytes.Clone(good)
	wrong[gueHeader+8] ^= 1
	bare := slices.Delete(bytes.Clone(good), gueHeader+8, gueHeader+8+gue.CookieSize)
	copy(bare[gueHeader:], dataHeaders[false])
	for _, at := range []int{ipHeader + 2, udpHeader + 4} {
		binary.BigEndian.PutUint16(bare[at:], binary.BigEndian.Uint16(bare[at:])-gue.CookieSize)
	}
	bare = again(bare, netip.AddrPort{})
	report := s.gateway.mustReport()
	before, err := v.tunnel(s.gateway)
	s.must(err)
	for range copies {
		s.must(errors.Join(tap.Send(wrong), tap.Send(bare)))
	}
	s.until("all are counted", func() error {
		now := s.gateway.mustReport()
		for _, reason := range []dataplane.DropReason{dataplane.DropNoCookie, dataplane.DropWrongCookie} {
			if n := now.Drops[reason] - report.Drops[reason]; n < copies {
				return fmt.Errorf("%d %s", n, reason)
			}
		}
		return nil
	})
	after, err := v.tunnel(s.gateway)
	s.must(err)
	if n := after.Counters.ReceivedPackets - before.Counters.ReceivedPackets; n >= copies {
		t.Errorf("%d packets passed", n)
	}
	return bare
}

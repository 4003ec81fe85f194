// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"errors"
	"maps"
	"net/netip"
	"testing"

	"github.com/acnodal/epic/bpf"
)

// Cookies of the benches: of each direction, and of a key that is replaced.
var (
	cookieUp      = [CookieSize]byte{0xc0, 1, 2, 3, 4, 5, 6, 7}
	cookieDown    = [CookieSize]byte{0xc1, 1, 2, 3, 4, 5, 6, 7}
	cookieUpOld   = [CookieSize]byte{0xd0, 1, 2, 3, 4, 5, 6, 7}
	cookieDownOld = [CookieSize]byte{0xd1, 1, 2, 3, 4, 5, 6, 7}
)

// cookiesOf are the cookies of one end while keys are replaced.
func cookiesOf(role Role) Cookies {
	if role == RoleGateway {
		return Cookies{Send: cookieDown, Sent: true, Required: true, Accept: [MaxCookies][CookieSize]byte{cookieUp, cookieUpOld, cookieUp, cookieUp}}
	}
	return Cookies{Send: cookieUp, Sent: true, Required: true, Accept: [MaxCookies][CookieSize]byte{cookieDown, cookieDownOld, cookieDown, cookieDown}}
}

func (b *bench) setCookies(t testing.TB) {
	t.Helper()
	for _, role := range []Role{RoleGateway, RoleClient} {
		side, _ := b.side(role)
		for id := range side.Tunnels().Cookies() {
			must(t, side.Tunnels().SetCookies(id, cookiesOf(role)))
		}
	}
}

// withCookies gives the outer packets of a step cookies.
func (s step) withCookies(role Role) step {
	up, down := cookieUp, cookieDown
	if role == RoleClient {
		up, down = down, up
	}
	if s.program != "encap" && !s.bare {
		s.in = withCookie(s.in, up)
	} else if s.program == "encap" && s.drop == "" {
		s.out = withCookie(s.out, down)
	}
	return s
}

// withCookie puts a cookie into a data packet of a tunnel, and leaves alone whatever else
// there is.
func withCookie(packet []byte, cookie [CookieSize]byte) []byte {
	if len(packet) < 20 {
		return packet
	}
	at := int(packet[0]&0xf) * 4
	is6 := packet[0]>>4 == 6
	if is6 {
		at = 40
	}
	if len(packet) < at+16 || is6 && packet[6] != protoUDP || !is6 && packet[9] != protoUDP {
		return packet
	}
	word := binary.BigEndian.Uint32(packet[at+8:])
	marked := map[uint32]uint32{wordIPv4: wordCookie4, wordIPv6: wordCookie6}[word]
	if marked == 0 {
		return packet
	}
	out := concat(packet[:at+16], cookie[:], packet[at+16:])
	grow := func(at int) {
		binary.BigEndian.PutUint16(out[at:], binary.BigEndian.Uint16(out[at:])+CookieSize)
	}
	grow(at + 4)
	if is6 {
		grow(4)
	} else {
		grow(2)
		binary.BigEndian.PutUint16(out[10:], 0)
		binary.BigEndian.PutUint16(out[10:], ^fold(out[:at], 0))
	}
	binary.BigEndian.PutUint32(out[at+8:], marked)
	return out
}

// raw is an outer packet with a GUE header of which the fixtures leave the cookie alone.
func raw(source, destination netip.AddrPort, header []byte, inner []byte) []byte {
	return outerAs(source, destination, 0, udp(source.Port(), destination.Port(), concat(header, inner)))
}

// cookieFixtures are about cookies at both ends, in all combinations of families.
func (b *bench) cookieFixtures() []fixture {
	var list []fixture
	for _, role := range []Role{RoleGateway, RoleClient} {
		for _, outer6 := range []bool{false, true} {
			for _, v6 := range []bool{false, true} {
				list = append(list, b.cookieFixture(role, outer6, v6))
			}
		}
	}
	return list
}

func (b *bench) cookieFixture(role Role, outer6, v6 bool) fixture {
	id := uint32(tunnelOver(outer6))
	to, from := ends(outer6)
	pod, proxy := endpointOf(int(id), v6), proxyAddress[v6]
	inner := ip(pod, proxy, protoTCP, tcp(worldPort, 40000, flagACK, nil, []byte("reply")))
	good, old, other, verdict := cookieUp, cookieUpOld, cookieDown, uint32(redirect)
	if role == RoleClient {
		to, from = from, to
		inner = ip(proxy, pod, protoTCP, tcp(40000, worldPort, flagACK, nil, []byte("request")))
		good, old, other, verdict = cookieDown, cookieDownOld, cookieUp, pass
	}
	word, bare := uint32(wordCookie4), uint32(wordIPv4)
	if v6 {
		word, bare = wordCookie6, wordIPv6
	}
	with := func(word uint32, cookie []byte) []byte {
		return raw(from, to, concat(be32(word), be32(id), cookie), inner)
	}
	f := fixture{name: "cookies of " + family(v6) + " in " + family(outer6) + " at the " + map[Role]string{RoleGateway: "gateway", RoleClient: "node"}[role], role: role}
	passes := func(in []byte) {
		f.steps = append(f.steps, step{program: "decap", in: in, verdict: verdict, out: inner}, step{program: "xdp", in: in, verdict: xdpPass, out: inner})
	}
	drops := func(in []byte, reason DropReason) {
		f.steps = append(f.steps, step{program: "xdp", in: in, verdict: xdpPass}, step{program: "decap", in: in, verdict: shot, drop: reason})
	}
	passes(with(word, good[:]))
	passes(with(word, old[:]))
	missing := with(bare, nil)
	f.steps = append(f.steps, step{program: "xdp", in: missing, verdict: xdpPass, bare: true},
		step{program: "decap", in: missing, verdict: shot, drop: DropNoCookie, bare: true})
	drops(with(word, other[:]), DropWrongCookie)
	drops(with(word, make([]byte, CookieSize)), DropWrongCookie)
	for i := range good {
		wrong := good
		wrong[i] ^= 0x80
		drops(with(word, wrong[:]), DropWrongCookie)
	}
	// The same bytes in a header that indicates that there are none, and none where it indicates
	// that there are.
	drops(raw(from, to, concat(be32(word&^(2<<24)), be32(id)), inner), DropBadHeader)
	drops(raw(from, to, concat(be32(bare|2<<24), be32(id), good[:]), inner), DropBadHeader)
	drops(raw(from, to, concat(be32(word|0x2000), be32(id), good[:]), inner), DropBadHeader)
	drops(raw(from, to, concat(be32(word&^0x8000), be32(id), good[:]), inner), DropBadHeader)
	for short := range CookieSize {
		drops(raw(from, to, concat(be32(word), be32(id), good[:short]), nil), DropBadHeader)
	}
	drops(raw(from, to, concat(be32(word), be32(id), good[:]), nil), DropMalformed)
	// The cookie counts before what is inside, and after the ends.
	drops(raw(from, to, concat(be32(word), be32(id), other[:]), []byte{0}), DropWrongCookie)
	stranger := netip.AddrPortFrom(from.Addr(), from.Port()+1)
	drops(outerAs(from, to, 0, udp(stranger.Port(), to.Port(), concat(be32(word), be32(id), other[:], inner))), DropWrongRemote)
	return f
}

// A tunnel refuses what has no cookie when it is told to, or the node is. It takes
// cookies as soon as it knows them, whether it sends them or not.
func TestCookieStates(t *testing.T) {
	b := newBench(t)
	gateway, node := ends(false)
	inner := ip(endpointOf(tunnel4, false), proxyAddress[false], protoTCP, tcp(worldPort, 40000, flagACK, nil, []byte("reply")))
	request := ip(proxyAddress[false], endpointOf(tunnel4, false), protoTCP, tcp(40000, worldPort, flagACK, nil, []byte("request")))
	bare := outer(node, gateway, tunnel4, inner)
	marked, unknown := withCookie(bare, cookieUp), withCookie(bare, cookieDown)
	check := func(what string, in []byte, want DropReason) {
		t.Helper()
		s := step{program: "decap", in: in, verdict: shot, drop: want}
		if want == "" {
			s.verdict, s.out = redirect, inner
		}
		t.Run(what, func(t *testing.T) { b.check(t, RoleGateway, s) })
	}
	sends := func(what string, marked bool) {
		t.Helper()
		out := outer(gateway, node, tunnel4, request)
		if marked {
			out = withCookie(out, cookieDown)
		}
		t.Run(what, func(t *testing.T) {
			b.check(t, RoleGateway, step{program: "encap", in: request, verdict: redirect, out: out})
		})
	}
	set := func(c Cookies) { t.Helper(); must(t, b.gatewaySide.Tunnels().SetCookies(tunnel4, c)) }

	check("no cookie, none known", bare, "")
	check("a cookie, none known", marked, DropWrongCookie)
	check("a zero cookie, none known", withCookie(bare, [CookieSize]byte{}), DropWrongCookie)
	sends("none known", false)
	c := cookiesOf(RoleGateway)
	c.Sent, c.Required = false, false
	set(c)
	check("no cookie, none wanted", bare, "")
	check("a cookie, none wanted", marked, "")
	check("a wrong cookie, none wanted", unknown, DropWrongCookie)
	sends("the far end takes none", false)
	c.Sent = true
	set(c)
	check("no cookie, some sent", bare, "")
	sends("the far end takes some", true)
	c.Required = true
	set(c)
	check("no cookie, all wanted", bare, DropNoCookie)
	check("a cookie, all wanted", marked, "")
	// Whatever else changes, cookies stay.
	want := maps.Clone(b.gatewaySide.Tunnels().Cookies())
	if want[tunnel4] != (CookieUse{Sent: true, Required: true}) || want[tunnel6] != (CookieUse{}) {
		t.Errorf("use of cookies: %v", want)
	}
	must(t, b.gatewaySide.Tunnels().Put(Tunnel{ID: tunnel4, Local: gateway, MTU: 1464}))
	must(t, b.gatewaySide.Tunnels().SetRemote(tunnel4, node))
	must(t, b.gatewaySide.Close())
	must(t, b.gateway.Do(func() (err error) {
		b.gatewaySide, err = Open(b.gatewayOptions)
		return err
	}))
	check("no cookie, after a restart", bare, DropNoCookie)
	check("a cookie, after a restart", marked, "")
	if got := b.gatewaySide.Tunnels().Cookies(); !maps.Equal(got, want) {
		t.Errorf("use of cookies: %v, want %v", got, want)
	}
	list, err := b.gatewaySide.Tunnels().List()
	must(t, err)
	var value bpf.KernelTunnel
	must(t, b.gatewaySide.objects.Tunnels.Lookup(uint32(tunnel4), &value))
	if list[0].MTU != 1464 || value.Mtu != 1464-CookieSize {
		t.Errorf("MTU %d, of which packets may use %d", list[0].MTU, value.Mtu)
	}
	// A tunnel that is deleted and created again has none.
	must(t, b.gatewaySide.Tunnels().Delete(tunnel4))
	must(t, b.gatewaySide.Tunnels().Put(Tunnel{ID: tunnel4, Local: gateway, Remote: node, MTU: 1464}))
	check("a cookie of a tunnel that was there before", marked, DropWrongCookie)
	check("no cookie, a new tunnel", bare, "")
	if err := b.gatewaySide.Tunnels().SetCookies(99, c); !errors.Is(err, ErrNoTunnel) {
		t.Errorf("cookies of a tunnel that is not there: %v", err)
	}
}

// A node that refuses packets without cookies does so before any cookie is known.
func TestRequireCookies(t *testing.T) {
	b := newBench(t)
	gateway, node := ends(false)
	bare := outer(node, gateway, tunnel4, ip(endpointOf(tunnel4, false), proxyAddress[false], protoTCP, tcp(worldPort, 40000, flagACK, nil, nil)))
	must(t, b.gatewaySide.Close())
	b.gatewayOptions.RequireCookies = true
	must(t, b.gateway.Do(func() (err error) {
		b.gatewaySide, err = Open(b.gatewayOptions)
		return err
	}))
	refused := step{program: "decap", in: bare, verdict: shot, drop: DropNoCookie}
	must(t, b.gatewaySide.Tunnels().Put(Tunnel{ID: tunnel4, Local: gateway, Remote: node, MTU: 1464}))
	b.check(t, RoleGateway, refused)
	c := cookiesOf(RoleGateway)
	c.Required = false
	must(t, b.gatewaySide.Tunnels().SetCookies(tunnel4, c))
	b.check(t, RoleGateway, refused)
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"crypto/sha256"
	"encoding/binary"
	"net"
	"net/netip"
)

// Marks of objects created by this package. None of the numbers is registered for another
// use, neither in iproute2's rt_protos nor by the routing daemons.
const (
	// Alias is the alias of the bridges.
	Alias = "epic-node bridge"
	// RouteProtocol is the origin (rtm_protocol) of routes and of the rule.
	RouteProtocol = 233
	// Table is the routing table with the routes to proxies. Like the priority of the
	// rule that selects it, it is GUE's port number.
	Table = 6080
	// RulePriority precedes the main table, whose rule has 32766.
	RulePriority = 6080
	// FirewallTable is the name of the nftables table, in the family inet.
	FirewallTable = "epic-node"
)

// GatewayIPv6 is the address that every bridge has. A proxy may use it as its
// gateway.
var GatewayIPv6 = netip.MustParseAddr("fe80::1")

// maxKey limits the indexes that fit into the key of a neighbor entry.
const maxKey = 1 << 28

// key4 and key6 are next hops that represent a proxy's interface. They never occur in
// packets: they only select the permanent neighbor entry with the proxy's hardware
// address. The IPv4 ones are in the reserved class (RFC 1112 section 4), so they can't
// conflict with other addresses.
func key4(index int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0xf0000000|uint32(index))
	return netip.AddrFrom4(b)
}

func key6(index int) netip.Addr {
	b := [16]byte{0: 0xfe, 1: 0x80, 10: 0x60, 11: 0x80}
	binary.BigEndian.PutUint32(b[12:], uint32(index))
	return netip.AddrFrom16(b)
}

func key(addr netip.Addr, index int) netip.Addr {
	if addr.Is4() {
		return key4(index)
	}
	return key6(index)
}

// isKey reports whether an address can only be a result of key4 or key6.
func isKey(a netip.Addr) bool {
	a = a.Unmap()
	if a.Is4() {
		return a.As4()[0]&0xf0 == 0xf0
	}
	b := a.As16()
	return a == key6(int(binary.BigEndian.Uint32(b[12:])))
}

// BridgeMAC returns the hardware address of the bridge with a name: a local one that is
// the same on every node and after every restart.
func BridgeMAC(name string) net.HardwareAddr {
	return StableMAC("bridge " + name)
}

// StableMAC returns a locally administered unicast hardware address computed from a text.
func StableMAC(text string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(text))
	mac := net.HardwareAddr(sum[:6:6])
	mac[0] = mac[0]&^1 | 2
	return mac
}

// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// The numbers that IANA gave to the transport protocols that proxies carry.
const (
	protocolTCP uint8 = 6
	protocolUDP uint8 = 17
)

const maxPort = 65535

// nodeAddress reads an address at which tunnels may end. It takes only what the
// API takes as a key of status.gue-tunnel-endpoints, in its shortest form.
func nodeAddress(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	a = a.Unmap()
	if a.IsUnspecified() || a.IsMulticast() {
		return netip.Addr{}, false
	}
	return a, true
}

// podAddress reads an address to which a proxy may connect. What would mean the
// proxy's own host, or what is next to it, is not a tenant's.
func podAddress(s string) (netip.Addr, bool) {
	a, ok := nodeAddress(s)
	if !ok || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return netip.Addr{}, false
	}
	return a, true
}

func portNumber(n int32) (uint16, bool) {
	return uint16(n), n >= 1 && n <= maxPort
}

// ProtocolNumber returns the number of a protocol of the API, where an absent one is TCP,
// and false if proxies do not carry it.
func ProtocolNumber(p corev1.Protocol) (uint8, bool) {
	switch p {
	case corev1.ProtocolTCP, "":
		return protocolTCP, true
	case corev1.ProtocolUDP:
		return protocolUDP, true
	case corev1.ProtocolSCTP:
	}
	return 0, false
}

// ProtocolName returns the name of a protocol that proxies carry, as in "tcp".
func ProtocolName(protocol uint8) string {
	if protocol == protocolUDP {
		return "udp"
	}
	return "tcp"
}

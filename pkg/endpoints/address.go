// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// Numbers that IANA assigned to the transport protocols that proxies support.
const (
	protocolTCP uint8 = 6
	protocolUDP uint8 = 17
)

const maxPort = 65535

// nodeAddress parses an address at which tunnels may end. It only accepts what the API
// accepts as a key of status.gue-tunnel-endpoints, in its shortest form.
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

// podAddress parses an address to which a proxy may connect. It rejects addresses of the
// proxy's own host or link.
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

// ProtocolNumber returns the number of a protocol of the API, which is TCP by default,
// and false if proxies do not support it.
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

// ProtocolName returns the name of a protocol that proxies support, such as "tcp".
func ProtocolName(protocol uint8) string {
	if protocol == protocolUDP {
		return "udp"
	}
	return "tcp"
}

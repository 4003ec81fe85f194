// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// PortsOfSlice returns the number of ports of a slice that proxies support, and problems
// for the others. The API accepts everything that Kubernetes accepts in an EndpointSlice;
// unsupported ports are skipped.
func PortsOfSlice(slice *epicv1.GWEndpointSlice) (usable int, skipped []Problem) {
	found := problems{}
	for i := range slice.Spec.Ports {
		p := &slice.Spec.Ports[i]
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = cmp.Or(*p.Protocol, protocol)
		}
		name := portName(p)
		if _, ok := ProtocolNumber(protocol); !ok {
			found.add(ReasonProtocolUnsupported, "GWEndpointSlice "+slice.Name,
				"the port %q is skipped: its protocol is %s, but proxies only support TCP and UDP", name, protocol)
			continue
		}
		if p.Port != nil {
			if _, ok := portNumber(*p.Port); !ok {
				found.add(ReasonPortUnusable, "GWEndpointSlice "+slice.Name,
					"the port %q is skipped: its number is %d, but it must be from 1 to %d", name, *p.Port, maxPort)
				continue
			}
		}
		usable++
	}
	return usable, found.sorted()
}

// ListenersOf returns the number of listeners of a gateway proxy with a supported
// protocol, and problems for the others. The API accepts every protocol that the Gateway
// API accepts; unsupported listeners are skipped.
func ListenersOf(proxy *epicv1.GWProxy) (usable int, skipped []Problem) {
	if proxy.Spec.Gateway == nil {
		return 0, nil
	}
	found := problems{}
	for i := range proxy.Spec.Gateway.Listeners {
		switch l := &proxy.Spec.Gateway.Listeners[i]; l.Protocol {
		case gatewayv1.HTTPProtocolType, gatewayv1.HTTPSProtocolType, gatewayv1.TLSProtocolType, gatewayv1.TCPProtocolType, gatewayv1.UDPProtocolType:
			usable++
		default:
			found.add(ReasonProtocolUnsupported, "GWProxy "+proxy.Name,
				"the listener %q is skipped: its protocol is %q, but proxies only support HTTP, HTTPS, TLS, TCP and UDP", l.Name, l.Protocol)
		}
	}
	return usable, found.sorted()
}

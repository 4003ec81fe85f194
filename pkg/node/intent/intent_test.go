// SPDX-License-Identifier: Apache-2.0

package intent

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Several listeners of a Gateway may share a port. The node opens it once.
func TestPortsOfListeners(t *testing.T) {
	proxy := &epicv1.GWProxy{Spec: epicv1.GWProxySpec{PublicPorts: []epicv1.ServicePort{
		{Name: "a", Port: 443, Protocol: corev1.ProtocolTCP}, {Name: "b", Port: 443}, {Name: "a", Port: 443, Protocol: corev1.ProtocolUDP},
		{Name: "c", Port: 80, Protocol: corev1.ProtocolTCP}, {Name: "d", Port: 443, Protocol: corev1.ProtocolTCP},
		{Name: "e", Port: 81, Protocol: corev1.ProtocolSCTP}, {Name: "f"},
	}}}
	want := []Port{{6, 443}, {17, 443}, {6, 80}}
	if got := OfGWProxy(proxy, nil, nil, nil).Ports; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The node opens the UDP port on which Envoys serve HTTP/3, and no port that is not
// published.
func TestPortsOfHTTP3(t *testing.T) {
	proxy := &epicv1.GWProxy{Spec: epicv1.GWProxySpec{PublicPorts: []epicv1.ServicePort{{Port: 443, Protocol: corev1.ProtocolTCP}, {Port: 53, Protocol: corev1.ProtocolUDP}}}}
	envoy := func(listeners ...epicv1.EnvoyListenerStatus) *epicv1.EnvoyStatus {
		return &epicv1.EnvoyStatus{Listeners: listeners}
	}
	udp := func(port int32) epicv1.EnvoyListenerStatus {
		return epicv1.EnvoyListenerStatus{Port: port, Protocol: corev1.ProtocolUDP}
	}
	published := []Port{{6, 443}, {17, 53}}
	for name, c := range map[string]struct {
		envoy *epicv1.EnvoyStatus
		want  []Port
	}{
		"no report":       {nil, published},
		"HTTP/3":          {envoy(udp(443), udp(53)), append(slices.Clone(published), Port{17, 443})},
		"another port":    {envoy(udp(80), udp(0), udp(65536+443)), published},
		"TCP of the spec": {envoy(epicv1.EnvoyListenerStatus{Port: 443, Protocol: corev1.ProtocolTCP}, epicv1.EnvoyListenerStatus{Port: 8080, Protocol: corev1.ProtocolTCP}), published},
	} {
		proxy.Status.Envoy = c.envoy
		if got := OfGWProxy(proxy, nil, nil, nil).Ports; !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}

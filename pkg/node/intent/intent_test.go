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

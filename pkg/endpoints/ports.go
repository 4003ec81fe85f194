// SPDX-License-Identifier: Apache-2.0

package endpoints

import (
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// ServicePortsAnnotation on a GWEndpointSlice maps ports of the tenant's Service to ports
// of the slice, as numbers and names: "80=http, 9090=metrics". It makes a route's port
// unambiguous for a Service with several ports.
const ServicePortsAnnotation = epic.LabelPrefix + "service-ports"

// usualNames holds conventional port names, by the Service's port number.
var usualNames = map[int32]string{80: "http", 443: "https"}

// A route identifies a port by its number in the tenant's Service; a slice has the ports
// of the pods, by name, and the Service itself is not available here. The name is the
// same in all slices of a Service, but the number need not be. So a backend's port is
// resolved to a name, over all slices of the Service:
//
//  1. the name that the annotation service-ports of a slice has for the number;
//  2. otherwise the names of the ports with the same number: most Services with
//     several ports use the numbers of their pods;
//  3. otherwise the conventional name for the number: http for 80, https for 443;
//  4. otherwise any: a Service with one port has only one.
//
// A slice is used if the names match exactly one port of its pods. A slice whose ports
// have no number uses the backend's.

// names returns the port names that a backend may refer to, by the rule above.
func (b Backend) names(all []*epicv1.GWEndpointSlice) map[string]bool {
	said, numbered, usual, every := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, slice := range all {
		for _, name := range saidNames(slice, b.Port) {
			said[name] = true
		}
		for i := range slice.Spec.Ports {
			p := &slice.Spec.Ports[i]
			if !b.carries(p) {
				continue
			}
			name := portName(p)
			every[name] = true
			if p.Port != nil && *p.Port == b.Port {
				numbered[name] = true
			}
			if name != "" && name == usualNames[b.Port] {
				usual[name] = true
			}
		}
	}
	for _, names := range []map[string]bool{said, numbered, usual} {
		if len(names) > 0 {
			return names
		}
	}
	return every
}

// numbers returns the distinct ports of a slice's pods with these names, in order. Zero
// is a port without a number, if the backend has none either.
func (b Backend) numbers(slice *epicv1.GWEndpointSlice, names map[string]bool) []int32 {
	var numbers []int32
	for i := range slice.Spec.Ports {
		p := &slice.Spec.Ports[i]
		if !b.carries(p) || !names[portName(p)] {
			continue
		}
		n := b.Port
		if p.Port != nil {
			n = *p.Port
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// saidNames returns the names in a slice's annotation for a port of the Service: the same
// number may be a TCP port and a UDP port. It ignores invalid entries.
func saidNames(slice *epicv1.GWEndpointSlice, port int32) (names []string) {
	for entry := range strings.SplitSeq(slice.Annotations[ServicePortsAnnotation], ",") {
		number, name, ok := strings.Cut(entry, "=")
		if !ok {
			continue
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32); err == nil && n > 0 && int32(n) == port {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

// carries reports whether a port has the backend's protocol.
func (b Backend) carries(p *discoveryv1.EndpointPort) bool {
	protocol, ok := ProtocolNumber(ptr.Deref(p.Protocol, corev1.ProtocolTCP))
	return ok && protocol == b.protocol()
}

// AppProtocol returns the application protocol of the backend's port, among the slices of
// its Service; empty if none or several are set.
func (b Backend) AppProtocol(all []*epicv1.GWEndpointSlice) string {
	found, names := "", b.names(all)
	for _, slice := range all {
		for i := range slice.Spec.Ports {
			p := &slice.Spec.Ports[i]
			if p.AppProtocol == nil || *p.AppProtocol == "" || !b.carries(p) || !names[portName(p)] {
				continue
			}
			if found != "" && found != *p.AppProtocol {
				return ""
			}
			found = *p.AppProtocol
		}
	}
	return found
}

func portName(p *discoveryv1.EndpointPort) string {
	if p.Name == nil {
		return ""
	}
	return *p.Name
}

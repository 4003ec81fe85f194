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

// ServicePortsAnnotation on a GWEndpointSlice lists which port of the tenant's
// Service each port of the slice serves, as numbers and names: "80=http,
// 9090=metrics". It settles what a route means by a port of a Service that has
// several.
const ServicePortsAnnotation = epic.LabelPrefix + "service-ports"

// usualNames are what a port is called by convention, by the number at which a
// Service has it.
var usualNames = map[int32]string{80: "http", 443: "https"}

// A route names a port by the number that the tenant's Service gave it; a slice
// has the ports of the pods, by name, and the Service itself is not here. The
// name is the same in all slices of a Service, the number need not be. So a
// backend's port is looked for as a name, over all slices of the Service:
//
//  1. the name that the annotation service-ports of a slice gives the number;
//  2. else the names of the ports that have the number themselves: most Services
//     that have several ports number them as their pods do;
//  3. else the name that is usual for the number: http for 80, https for 443;
//  4. else any: a Service with one port has nothing to choose.
//
// A slice is used when what is left stands for one port of its pods. A slice
// whose ports name no number takes the backend's.

// names are the port names that a backend may mean, by the rule above.
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

// numbers are the ports of a slice's pods that the names stand for, each once
// and in order. Zero is a port that names no number where the backend gives none
// either.
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

// saidNames returns the names that a slice's annotation gives a port of the Service:
// one number may be a TCP port and a UDP port. What can't be read is passed over.
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

// AppProtocol returns the application protocol of the port that the backend means, among
// the slices of its Service; empty if none is given, or several are.
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

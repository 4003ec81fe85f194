// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	netutils "k8s.io/utils/net"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// The limits of Kubernetes for an EndpointSlice.
const (
	maxEndpoints         = 1000
	maxEndpointAddresses = 100
	maxSlicePorts        = 20000
	// maxSliceNodes is more than a slice's endpoints can be on.
	maxSliceNodes = 5000
)

// ValidateGWEndpointSlice checks a new object.
func ValidateGWEndpointSlice(obj *epic.GWEndpointSlice) field.ErrorList {
	errs := dnsName(metaPath.Child("name"), obj.Name)
	errs = append(errs, inAccountNamespace(&obj.ObjectMeta, "a gateway endpoint slice")...)
	return append(errs, gwEndpointSliceSpec(&obj.Spec)...)
}

// ValidateGWEndpointSliceUpdate checks a change of an object.
func ValidateGWEndpointSliceUpdate(obj, old *epic.GWEndpointSlice) field.ErrorList {
	errs := immutableLabels(&obj.ObjectMeta, &old.ObjectMeta)
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return errs
	}
	return append(errs, gwEndpointSliceSpec(&obj.Spec)...)
}

// ValidateGWEndpointSliceStatusUpdate checks a change of an object's status.
func ValidateGWEndpointSliceStatusUpdate(obj, _ *epic.GWEndpointSlice) field.ErrorList {
	return statusBase(obj.Status.ObservedGeneration, obj.Status.Conditions)
}

func gwEndpointSliceSpec(spec *epic.GWEndpointSliceSpec) field.ErrorList {
	errs := ref(specPath.Child("clientRef"), spec.ClientRef)
	errs = append(errs, ref(specPath.Child("parentRef"), spec.ParentRef)...)
	errs = append(errs, nodeAddresses(specPath.Child("nodeAddresses"), spec.NodeAddresses)...)
	errs = append(errs, word(specPath.Child("apiVersion"), spec.APIVersion, maxName)...)
	errs = append(errs, word(specPath.Child("kind"), spec.Kind, maxName)...)
	errs = append(errs, oneOf(specPath.Child("addressType"), spec.AddressType,
		discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)...)
	errs = append(errs, sliceEndpoints(specPath.Child("endpoints"), spec.Endpoints, spec.AddressType)...)
	return append(errs, slicePorts(specPath.Child("ports"), spec.Ports)...)
}

// nodeAddresses checks the tenant's ends of the tunnels.
func nodeAddresses(path *field.Path, nodes map[string]string) field.ErrorList {
	if errs := atMost(path, len(nodes), maxSliceNodes); len(errs) > 0 {
		return errs
	}
	return entries(path, nodes, func(at *field.Path, node, ip string) field.ErrorList {
		errs := dnsName(at, node)
		_, more := address(at, ip)
		return append(errs, more...)
	})
}

func sliceEndpoints(path *field.Path, endpoints []discoveryv1.Endpoint, t discoveryv1.AddressType) field.ErrorList {
	errs := atMost(path, len(endpoints), maxEndpoints)
	if len(errs) > 0 {
		return errs
	}
	for i := range endpoints {
		if full(errs) {
			break
		}
		at := path.Index(i)
		// The parts that nothing here reads are only kept within bounds.
		errs = append(errs, bounded(at, &endpoints[i])...)
		e := &endpoints[i]
		if len(e.Addresses) == 0 {
			errs = append(errs, field.Required(at.Child("addresses"), "an endpoint must have an address"))
		}
		if more := atMost(at.Child("addresses"), len(e.Addresses), maxEndpointAddresses); len(more) > 0 {
			errs = append(errs, more...)
			continue
		}
		for j, a := range e.Addresses {
			if full(errs) {
				break
			}
			errs = append(errs, sliceAddress(at.Child("addresses").Index(j), a, t)...)
		}
		if e.NodeName != nil {
			errs = append(errs, dnsName(at.Child("nodeName"), *e.NodeName)...)
		}
		if e.Hostname != nil {
			errs = append(errs, dnsLabel(at.Child("hostname"), *e.Hostname)...)
		}
	}
	return errs
}

// sliceAddress checks that an address is of the slice's type.
func sliceAddress(path *field.Path, s string, t discoveryv1.AddressType) field.ErrorList {
	if t == discoveryv1.AddressTypeFQDN {
		return dnsName(path, strings.TrimSuffix(s, "."))
	}
	// Kubernetes takes addresses in any form; readers parse them.
	if ip := netutils.ParseIPSloppy(s); ip != nil {
		if a, ok := netip.AddrFromSlice(ip); ok {
			s = a.Unmap().String()
		}
	}
	a, errs := endpointAddress(path, s)
	if len(errs) == 0 && (t == discoveryv1.AddressTypeIPv4 && !a.Is4() || t == discoveryv1.AddressTypeIPv6 && !a.Is6()) {
		errs = append(errs, field.Invalid(path, s, fmt.Sprintf("is not of the slice's addressType, %s: use a slice for each type", t)))
	}
	return errs
}

// slicePorts checks ports of which any part may be left out. Those that proxies
// can't carry are accepted, as Kubernetes accepts them, and skipped.
func slicePorts(path *field.Path, ports []discoveryv1.EndpointPort) field.ErrorList {
	errs := atMost(path, len(ports), maxSlicePorts)
	if len(errs) > 0 {
		return errs
	}
	seen := map[string]bool{}
	for i := range ports {
		if full(errs) {
			break
		}
		p := &ports[i]
		at := path.Index(i)
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		if name != "" {
			errs = append(errs, dnsLabel(at.Child("name"), name)...)
		}
		if seen[name] {
			errs = append(errs, field.Duplicate(at.Child("name"), quoted(name)))
		}
		seen[name] = true
		if p.Protocol != nil {
			errs = append(errs, oneOf(at.Child("protocol"), *p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)...)
		}
		if p.Port != nil {
			errs = append(errs, port(at.Child("port"), *p.Port)...)
		}
		if p.AppProtocol != nil && *p.AppProtocol != "" {
			for _, msg := range validation.IsQualifiedName(*p.AppProtocol) {
				if full(errs) {
					break
				}
				errs = append(errs, field.Invalid(at.Child("appProtocol"), quoted(*p.AppProtocol), msg))
			}
		}
	}
	return errs
}

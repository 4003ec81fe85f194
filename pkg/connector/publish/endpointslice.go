// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// ServiceOfSlice returns the Service to which an EndpointSlice belongs; its name is empty
// if the slice names none.
func ServiceOfSlice(slice *discoveryv1.EndpointSlice) types.NamespacedName {
	return types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
}

// EndpointSlice publishes an EndpointSlice, or returns nil if no route of the connector
// leads to its Service.
func EndpointSlice(config *Config, view View, slice *discoveryv1.EndpointSlice) *epicv1.GWEndpointSlice {
	name := ServiceOfSlice(slice)
	service := view.Service(name)
	if name.Name == "" || service == nil || slice.DeletionTimestamp != nil || slice.AddressType == discoveryv1.AddressTypeFQDN {
		return nil
	}
	p := newPublisher(config, view)
	if !p.leadsTo(name) {
		return nil
	}
	out := &epicv1.GWEndpointSlice{
		TypeMeta:   metav1.TypeMeta{APIVersion: epicv1.SchemeGroupVersion.String(), Kind: "GWEndpointSlice"},
		ObjectMeta: config.meta(string(slice.UID)),
	}
	metav1.SetMetaDataAnnotation(&out.ObjectMeta, endpoints.ServicePortsAnnotation, servicePorts(service))
	out.Spec.ClientRef = config.ref(slice)
	out.Spec.ParentRef = config.ref(service)
	out.Spec.AddressType = slice.AddressType
	out.Spec.NodeAddresses = map[string]string{}
	out.Spec.Endpoints = []discoveryv1.Endpoint{}
	for i := range slice.Endpoints {
		e := slice.Endpoints[i].DeepCopy()
		// EPIC does not need to know which pod it is.
		e.TargetRef, e.DeprecatedTopology = nil, nil
		out.Spec.Endpoints = append(out.Spec.Endpoints, *e)
		if e.NodeName == nil {
			continue
		}
		if address, ok := NodeAddress(view.Node(*e.NodeName)); ok {
			out.Spec.NodeAddresses[*e.NodeName] = address.String()
		}
	}
	for i := range slice.Ports {
		out.Spec.Ports = append(out.Spec.Ports, slicePort(service, &slice.Ports[i]))
	}
	return out
}

// leadsTo reports whether a route that is accepted by a Gateway of the connector leads to
// a Service.
func (p *publisher) leadsTo(service types.NamespacedName) bool {
	for _, route := range p.view.RoutesTo(service) {
		if route.GetDeletionTimestamp() != nil {
			continue
		}
		for _, a := range p.attachments(route) {
			if !a.accepted.no && permits(p.view, from{route.Kind, route.GetNamespace()}, object{"", "Service", service.Namespace, service.Name}) {
				return true
			}
		}
	}
	return false
}

// servicePorts returns the mapping from each port of a Service to the port of a slice
// that serves it.
func servicePorts(service *corev1.Service) string {
	var entries []string
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if entry := fmt.Sprintf("%d=%s", port.Port, port.Name); !slices.Contains(entries, entry) {
			entries = append(entries, entry)
		}
	}
	return strings.Join(entries, ",")
}

// slicePort returns a port of a slice, with the application protocol set in its Service.
func slicePort(service *corev1.Service, port *discoveryv1.EndpointPort) discoveryv1.EndpointPort {
	out := *port.DeepCopy()
	if out.AppProtocol != nil {
		return out
	}
	for i := range service.Spec.Ports {
		if p := &service.Spec.Ports[i]; p.Name == ptr.Deref(port.Name, "") && protocolOf(p) == ptr.Deref(port.Protocol, corev1.ProtocolTCP) && p.AppProtocol != nil {
			out.AppProtocol = ptr.To(*p.AppProtocol)
		}
	}
	return out
}

// NodeAddress returns the address at which a node's tunnels end: the one in its
// annotation, or its first internal address, or its first external one.
func NodeAddress(node *corev1.Node) (netip.Addr, bool) {
	if node == nil {
		return netip.Addr{}, false
	}
	if text, ok := node.Annotations[NodeAddressAnnotation]; ok {
		address, err := netip.ParseAddr(text)
		return address.Unmap(), err == nil && address.Zone() == ""
	}
	for _, kind := range []corev1.NodeAddressType{corev1.NodeInternalIP, corev1.NodeExternalIP} {
		for _, a := range node.Status.Addresses {
			if a.Type != kind {
				continue
			}
			if address, err := netip.ParseAddr(a.Address); err == nil && address.Zone() == "" {
				return address.Unmap(), true
			}
		}
	}
	return netip.Addr{}, false
}

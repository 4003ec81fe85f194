// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// ServiceResult is the result for a Service of the connector's class.
type ServiceResult struct {
	// LoadBalancer is the load balancer that should exist; nil if Problem explains why it
	// should not.
	LoadBalancer *epicv1.LoadBalancer
	// Endpoints are its endpoints in this cluster.
	Endpoints []*epicv1.RemoteEndpoint
	// Status is where the Service is published.
	Status corev1.LoadBalancerStatus
	// Problem is why it is not published, or not as requested; empty if there is none.
	Problem string
}

// Balanced reports whether the connector should publish a Service.
func Balanced(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer && ptr.Deref(service.Spec.LoadBalancerClass, "") == LoadBalancerClass
}

// LoadBalancerName returns the name of a Service's load balancer: its UID, or the key
// under which several clusters share it.
func LoadBalancerName(service metav1.Object) string { return ProxyName(service) }

// Service publishes a Service of type LoadBalancer, or returns nil if it is not of the
// connector's class.
func Service(config *Config, view View, service *corev1.Service, remote Remote) *ServiceResult {
	if !Balanced(service) || service.DeletionTimestamp != nil {
		return nil
	}
	r := &ServiceResult{Problem: remote.Refused.Message}
	if lb := remote.LoadBalancer; lb != nil && lb.Spec.PublicAddress != "" {
		ingress := corev1.LoadBalancerIngress{IP: lb.Spec.PublicAddress, IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)}
		for i := range lb.Spec.PublicPorts {
			ingress.Ports = append(ingress.Ports, corev1.PortStatus{Port: lb.Spec.PublicPorts[i].Port, Protocol: lb.Spec.PublicPorts[i].Protocol})
		}
		for i := range lb.Spec.Endpoints {
			ingress.Hostname = cmp.Or(ingress.Hostname, lb.Spec.Endpoints[i].DNSName)
		}
		r.Status.Ingress = []corev1.LoadBalancerIngress{ingress}
	}
	group := cmp.Or(service.Annotations[ServiceGroupAnnotation], config.Group)
	if v := config.knowsGroup(group); v.no {
		r.Problem = v.message + "; set it in the Service's annotation " + ServiceGroupAnnotation
		return r
	}
	if key := service.Annotations[SharingKeyAnnotation]; key != "" {
		if problems := validation.IsDNS1123Subdomain(key); len(problems) > 0 {
			r.Problem = fmt.Sprintf("the annotation %s: %s", SharingKeyAnnotation, problems[0])
			return r
		}
	}
	settings, err := edgeOf(service)
	if err != nil {
		r.Problem = err.Error()
		return r
	}
	lb := &epicv1.LoadBalancer{
		TypeMeta:   metav1.TypeMeta{APIVersion: epicv1.SchemeGroupVersion.String(), Kind: "LoadBalancer"},
		ObjectMeta: config.meta(LoadBalancerName(service)),
	}
	metav1.SetMetaDataAnnotation(&lb.ObjectMeta, ClientNamespaceAnnotation, service.Namespace)
	metav1.SetMetaDataAnnotation(&lb.ObjectMeta, ClientNameAnnotation, service.Name)
	if service.Annotations[SharingKeyAnnotation] != "" {
		metav1.SetMetaDataAnnotation(&lb.ObjectMeta, config.OwnerAnnotation(), string(service.UID))
	}
	lb.Spec.ServiceGroup = group
	lb.Spec.DisplayName = service.Name
	lb.Spec.Edge = settings
	lb.Spec.UpstreamClusters = []string{config.Cluster}
	if want := service.Spec.LoadBalancerIP; want != "" {
		address, err := netip.ParseAddr(want)
		if err != nil {
			r.Problem = fmt.Sprintf("loadBalancerIP is %q, which is not an IP address: correct it, or leave it out", want)
			return r
		}
		lb.Spec.PublicAddress = address.Unmap().String()
	}
	for i := range service.Spec.Ports {
		port := &service.Spec.Ports[i]
		if protocol := protocolOf(port); protocol != corev1.ProtocolTCP && protocol != corev1.ProtocolUDP {
			r.Problem = fmt.Sprintf("port %d uses %s, but proxies only support TCP and UDP: remove it", port.Port, protocol)
			continue
		}
		published := epicv1.ServicePort{
			Name: port.Name, Port: port.Port, Protocol: protocolOf(port), AppProtocol: ptr.Deref(port.AppProtocol, ""), NodePort: port.NodePort,
		}
		if port.TargetPort.IntVal != 0 || port.TargetPort.StrVal != "" {
			published.TargetPort = ptr.To(port.TargetPort)
		}
		lb.Spec.PublicPorts = append(lb.Spec.PublicPorts, published)
	}
	if len(service.Spec.LoadBalancerSourceRanges) > 0 && r.Problem == "" {
		// Publishing it to everyone would be worse than not publishing it.
		r.Problem = "loadBalancerSourceRanges is not supported: remove it, and let the pods check their clients"
		return r
	}
	r.LoadBalancer = lb
	r.Endpoints = remoteEndpoints(config, view, service, lb.Name)
	return r
}

// candidate is an endpoint of a Service at one of its ports.
type candidate struct {
	port    *corev1.ServicePort
	address netip.AddrPort
	node    string
	ready   bool
}

// remoteEndpoints returns the endpoints of a Service. As in Kubernetes, terminating
// endpoints that still serve are only used if there are no others.
func remoteEndpoints(config *Config, view View, service *corev1.Service, lb string) []*epicv1.RemoteEndpoint {
	var all []candidate
	// Two slices may briefly contain the same endpoint: the older one takes precedence.
	for _, slice := range sorted(view.SlicesOf(nameOf(service))) {
		if slice.DeletionTimestamp == nil && slice.AddressType != discoveryv1.AddressTypeFQDN {
			all = append(all, candidates(view, service, slice)...)
		}
	}
	ready := map[*corev1.ServicePort]bool{}
	for _, c := range all {
		ready[c.port] = ready[c.port] || c.ready
	}
	byName := map[string]*epicv1.RemoteEndpoint{}
	for _, c := range all {
		if !c.ready && ready[c.port] {
			continue
		}
		if e := remoteEndpoint(config, lb, &c); byName[e.Name] == nil {
			byName[e.Name] = e
		}
	}
	out := make([]*epicv1.RemoteEndpoint, 0, len(byName))
	for _, e := range byName {
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b *epicv1.RemoteEndpoint) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// candidates returns the endpoints of a slice that are ready, or terminating and still
// serving.
func candidates(view View, service *corev1.Service, slice *discoveryv1.EndpointSlice) []candidate {
	var all []candidate
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		terminating := ptr.Deref(e.Conditions.Terminating, false)
		ready := ptr.Deref(e.Conditions.Ready, true) && !terminating
		serving := ptr.Deref(e.Conditions.Serving, ptr.Deref(e.Conditions.Ready, true))
		if !ready && (!terminating || !serving) || len(e.Addresses) == 0 {
			continue
		}
		address, err := netip.ParseAddr(e.Addresses[0])
		if err != nil {
			continue
		}
		node := ""
		if e.NodeName != nil {
			if at, ok := NodeAddress(view.Node(*e.NodeName)); ok {
				node = at.String()
			}
		}
		for j := range slice.Ports {
			number := ptr.Deref(slice.Ports[j].Port, 0)
			if number < 1 || number > 65535 {
				continue
			}
			for k := range service.Spec.Ports {
				port := &service.Spec.Ports[k]
				if port.Name == ptr.Deref(slice.Ports[j].Name, "") && protocolOf(port) == ptr.Deref(slice.Ports[j].Protocol, corev1.ProtocolTCP) {
					all = append(all, candidate{port, netip.AddrPortFrom(address.Unmap(), uint16(number)), node, ready})
				}
			}
		}
	}
	return all
}

// remoteEndpoint returns an endpoint for EPIC. Its name is derived from its unique
// values, so the same endpoint always has the same name.
func remoteEndpoint(config *Config, lb string, c *candidate) *epicv1.RemoteEndpoint {
	protocol := protocolOf(c.port)
	address := strings.NewReplacer(".", "-", ":", "-").Replace(c.address.Addr().String())
	sum := sha256.Sum256([]byte(config.Cluster + "/" + lb + "/" + c.port.Name))
	e := &epicv1.RemoteEndpoint{
		TypeMeta: metav1.TypeMeta{APIVersion: epicv1.SchemeGroupVersion.String(), Kind: "RemoteEndpoint"},
		ObjectMeta: config.meta(fmt.Sprintf("ep-%s-%d-%s-%s", strings.Trim(address, "-"), c.address.Port(), strings.ToLower(string(protocol)),
			hex.EncodeToString(sum[:])[:16])),
	}
	e.Labels[epic.OwningLoadBalancerLabel] = lb
	e.Spec.Cluster = config.Cluster
	e.Spec.Address = c.address.Addr().String()
	e.Spec.NodeAddress = c.node
	e.Spec.Port = epicv1.EndpointPort{Port: int32(c.address.Port()), Protocol: protocol, Name: c.port.Name, AppProtocol: ptr.Deref(c.port.AppProtocol, "")}
	return e
}

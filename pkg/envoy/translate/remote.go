// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// Each endpoint of a load balancer is assigned to a published port independently of other
// endpoints, so changes of others have no effect. Of the ports with the endpoint's
// protocol, it is
//
//  1. the one with the endpoint's port name: clients name both after the port of the Service;
//  2. otherwise the one whose targetPort is the endpoint's port, by number or by name;
//  3. otherwise the only one there is;
//  4. otherwise the one with the endpoint's own number.
//
// An endpoint that matches none gets no requests.

// remoteOf returns the endpoints that serve a published port of their load balancer. It
// reports those that serve none.
func remoteOf(lb *epicv1.LoadBalancer, published PublishedPort, reps []*epicv1.RemoteEndpoint, found *problems) []*epicv1.RemoteEndpoint {
	var ports []*epicv1.ServicePort
	for i := range lb.Spec.PublicPorts {
		p := &lb.Spec.PublicPorts[i]
		if has, ok := publishedPort(p.Port, p.Protocol); ok && has.Protocol == published.Protocol {
			ports = append(ports, p)
		}
	}
	var out []*epicv1.RemoteEndpoint
	for _, rep := range reps {
		if rep == nil || rep.DeletionTimestamp != nil || !epic.BelongsTo(rep, lb) || !carries(published.Protocol, rep.Spec.Port.Protocol) {
			continue
		}
		serves := portsOf(&rep.Spec.Port, ports)
		if len(serves) == 0 {
			found.add(SourceOf("RemoteEndpoint", rep), "spec.port", ReasonNoEndpointForPort,
				"no published port of the load balancer %s belongs to %s port %d: give it the name of a published port, or set targetPort there",
				lb.Name, cmp.Or(rep.Spec.Port.Protocol, corev1.ProtocolTCP), rep.Spec.Port.Port)
		}
		for _, p := range serves {
			if p.Port == int32(published.Port) {
				out = append(out, rep)
				break
			}
		}
	}
	return out
}

func carries(protocol uint8, p corev1.Protocol) bool {
	has, ok := endpoints.ProtocolNumber(p)
	return ok && has == protocol
}

// portsOf returns the published ports that an endpoint serves.
func portsOf(own *epicv1.EndpointPort, ports []*epicv1.ServicePort) []*epicv1.ServicePort {
	matching := func(match func(*epicv1.ServicePort) bool) []*epicv1.ServicePort {
		var out []*epicv1.ServicePort
		for _, p := range ports {
			if match(p) {
				out = append(out, p)
			}
		}
		return out
	}
	if found := matching(func(p *epicv1.ServicePort) bool { return own.Name != "" && p.Name == own.Name }); len(found) > 0 {
		return found
	}
	if found := matching(func(p *epicv1.ServicePort) bool { return targets(p.TargetPort, own) }); len(found) > 0 {
		return found
	}
	if len(ports) == 1 {
		return ports
	}
	return matching(func(p *epicv1.ServicePort) bool { return p.Port == own.Port })
}

func targets(target *intstr.IntOrString, own *epicv1.EndpointPort) bool {
	switch {
	case target == nil:
		return false
	case target.Type == intstr.Int:
		return target.IntVal != 0 && target.IntVal == own.Port
	}
	return target.StrVal != "" && target.StrVal == own.Name
}

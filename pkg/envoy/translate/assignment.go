// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// MetadataKey is the key of the endpoint metadata that access logs show.
const MetadataKey = "epic"

// totalWeight is the maximum sum of the weights of all endpoints of a backend with
// several members. Envoy accepts up to 4294967295.
const totalWeight = 1 << 30

// oneIsEnough keeps all requests at the first priority while at least one endpoint in
// 10,000 is healthy. By default, Envoy sends a part of them to the next one when less
// than 72 % of a priority are healthy.
const oneIsEnough = 1_000_000

// Assignment renders the endpoints of a backend. The result is empty if there are none;
// requests then fail immediately.
//
// Envoy sends requests to the first priority that has an endpoint which is healthy as far
// as Envoy knows: endpoints that are ready and have a tunnel that is up, then those whose
// tunnel state is unknown, then those that are terminating and still serve. Endpoints
// whose tunnel is down are only included if there are no others, because that may have
// changed. Next to others, they would receive the requests of clients that were sent to
// them before, and the remaining requests when the others fail their health checks, and
// would delay them.
func (b *Backend) Assignment(in EndpointsInput) (*resource.Resource, []Problem) {
	var found problems
	var all []weighted
	if in.LoadBalancer != nil {
		all = b.ofLoadBalancer(in, &found)
	} else {
		all = b.ofServices(in, &found)
	}
	message := &endpointv3.ClusterLoadAssignment{ClusterName: b.Name}
	if len(all) > 0 {
		message.Policy = &endpointv3.ClusterLoadAssignment_Policy{OverprovisioningFactor: wrapperspb.UInt32(oneIsEnough)}
	}
	tiers := map[tier][]*endpointv3.LbEndpoint{}
	for i := range all {
		k := tierOf(&all[i], in.Reach)
		tiers[k] = append(tiers[k], lbEndpoint(&all[i]))
	}
	for k := range tierCount {
		if k == firstDown && len(message.Endpoints) > 0 {
			break
		}
		if len(tiers[k]) > 0 {
			message.Endpoints = append(message.Endpoints, &endpointv3.LocalityLbEndpoints{
				LbEndpoints: tiers[k],
				Priority:    uint32(len(message.Endpoints)),
			})
		}
	}
	r, err := resource.New(resource.Endpoint, b.Name, message, b.Sources...)
	if err != nil {
		// The only text is that of nodes and clusters, which the API limits. Envoy gets
		// an assignment in any case.
		for _, s := range b.Sources {
			found.add(s, "", ReasonNotEncodable, "its endpoints can't be configured: %v: use plain text in all fields", err)
		}
		r = &resource.Resource{Type: resource.Endpoint, Name: b.Name, Sources: b.Sources}
	}
	return r, found.sorted()
}

// tier is the order in which endpoints are used.
type tier uint32

// The tiers from firstDown on are those of endpoints whose tunnel is down.
const (
	firstDown tier = 4
	tierCount tier = 6
)

func tierOf(e *weighted, reach func(netip.Addr) Reach) tier {
	way := ReachUp
	switch {
	case e.Unreadable:
		way = ReachDown
	case reach != nil && !e.Direct():
		way = min(reach(e.Node), ReachDown)
	}
	switch {
	case way == ReachDown && e.Draining:
		return 5
	case way == ReachDown:
		return 4
	case e.Draining:
		return 2 + tier(way)
	}
	return tier(way)
}

// weighted is an endpoint with its weight, which is 0 if all have the same.
type weighted struct {
	endpoints.Endpoint
	weight  uint32
	cluster string
}

func lbEndpoint(e *weighted) *endpointv3.LbEndpoint {
	out := &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{
		Address: socketAddress(e.Address, e.Protocol),
	}}}
	if e.weight > 0 {
		out.LoadBalancingWeight = wrapperspb.UInt32(e.weight)
	}
	fields := map[string]*structpb.Value{}
	if e.Node.IsValid() {
		fields["node"] = structpb.NewStringValue(e.Node.String())
	}
	if e.cluster != "" {
		fields["cluster"] = structpb.NewStringValue(e.cluster)
	}
	if len(fields) > 0 {
		out.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{MetadataKey: {Fields: fields}}}
	}
	return out
}

// Addresses returns the addresses of the endpoints of a load balancer's backend.
func (b *Backend) Addresses(in EndpointsInput) []netip.AddrPort {
	var found problems
	var all []netip.AddrPort
	for _, e := range b.ofLoadBalancer(in, &found) {
		all = append(all, e.Address)
	}
	return all
}

// ofLoadBalancer returns the endpoints of a load balancer that belong to one of its
// published ports.
func (b *Backend) ofLoadBalancer(in EndpointsInput, found *problems) []weighted {
	clusters, own := map[netip.AddrPort]string{}, remoteOf(in.LoadBalancer, b.Port, in.RemoteEndpoints, found)
	if b.Cluster != "" {
		own = slices.DeleteFunc(own, func(rep *epicv1.RemoteEndpoint) bool { return rep.Spec.Cluster != b.Cluster })
	}
	for _, rep := range own {
		if a, err := netip.ParseAddr(rep.Spec.Address); err == nil {
			key := netip.AddrPortFrom(a.Unmap(), uint16(rep.Spec.Port.Port))
			clusters[key] = max(clusters[key], rep.Spec.Cluster)
		}
	}
	list, more := endpoints.OfLoadBalancer(in.LoadBalancer, own)
	found.ofEndpoints(in.LoadBalancer.Namespace, more)
	out := make([]weighted, 0, len(list))
	for _, e := range list {
		if e.Protocol == b.Port.Protocol {
			out = append(out, weighted{Endpoint: e, cluster: clusters[e.Address]})
		}
	}
	return out
}

// ofServices returns the endpoints of the members of a backend.
func (b *Backend) ofServices(in EndpointsInput, found *problems) []weighted {
	var out []weighted
	total := int64(0)
	for _, m := range b.Members {
		total += int64(max(m.Weight, 0))
	}
	for _, m := range b.Members {
		list, more := endpoints.OfBackend(in.Namespace, endpoints.Backend{Service: m.Service, Port: m.Port, Protocol: m.Protocol}, in.Slices)
		found.ofEndpoints(in.Namespace, more)
		if len(b.Members) > 1 && m.Weight <= 0 {
			continue
		}
		weight := uint32(0)
		if n := int64(len(list)); len(b.Members) > 1 && n > 0 {
			weight = uint32(max(1, totalWeight*int64(m.Weight)/total/n))
		}
		for _, e := range list {
			out = append(out, weighted{Endpoint: e, weight: weight})
		}
	}
	// Envoy accepts an address once. Two members with the same address share it.
	slices.SortStableFunc(out, func(x, y weighted) int { return x.Address.Compare(y.Address) })
	merged := out[:0]
	for _, e := range out {
		if n := len(merged); n > 0 && merged[n-1].Address == e.Address {
			merged[n-1].weight += e.weight
			merged[n-1].Draining = merged[n-1].Draining && e.Draining
			continue
		}
		merged = append(merged, e)
	}
	return merged
}

// Equal reports whether two backends are the same.
func (b *Backend) Equal(o *Backend) bool {
	return b.Name == o.Name && b.Port == o.Port && b.Cluster == o.Cluster && slices.Equal(b.Members, o.Members) && slices.Equal(b.Sources, o.Sources)
}

// Leads reports whether the backend has endpoints of a Service.
func (b *Backend) Leads(service string) bool {
	return slices.ContainsFunc(b.Members, func(m Member) bool { return m.Service == service })
}

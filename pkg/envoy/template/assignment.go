// SPDX-License-Identifier: Apache-2.0

package template

import (
	"context"
	"errors"
	"fmt"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

const protocolTCP = 6

// Assignment is the input for the template of a backend's endpoints.
type Assignment struct {
	// Template is the proxy's template, and Source the object that contains it.
	Template *epicv1.EnvoyConfigSpec
	Source   resource.Source
	// Service is the name of the proxy.
	Service string
	// Plain holds the endpoints as rendered by the backend's Assignment.
	Plain *resource.Resource
	// Limits limits the rendering; the zero value means DefaultLimits.
	Limits Limits
}

// Endpoints renders the endpoints of a backend. The template is rendered once for each
// priority of the plain assignment, which knows which endpoints are ready and whose
// tunnel is up, and its output keeps that priority. It may set everything of an endpoint
// except its address. Endpoints returns the plain assignment if the template has none for
// endpoints, and also, with a problem, if the template is refused.
func Endpoints(ctx context.Context, in Assignment) (*resource.Resource, []translate.Problem) {
	if in.Template == nil || len(in.Template.EnvoyResources.Endpoints) == 0 {
		return in.Plain, nil
	}
	made, problems := bounded(ctx, &in.Limits, in.Source, in.render)
	if made == nil {
		for i := range problems {
			problems[i].Message += "; until then, the endpoints are served without it"
		}
		return in.Plain, problems
	}
	return made, problems
}

func (in *Assignment) render(b *budget) (*resource.Resource, []translate.Problem) {
	const field = "endpoints[0].value"
	fail := func(err error) (*resource.Resource, []translate.Problem) {
		at := field
		var inner *fieldError
		if errors.As(err, &inner) {
			return nil, []translate.Problem{refusal(in.Source, at+": "+inner.path, inner.message)}
		}
		return nil, []translate.Problem{refusal(in.Source, at, err.Error())}
	}
	plain := &endpointv3.ClusterLoadAssignment{}
	if err := proto.Unmarshal(in.Plain.Body, plain); err != nil {
		return fail(err)
	}
	text, err := source(in.Template.EnvoyResources.Endpoints[0].Value, in.Template.Serialization)
	if err != nil {
		return fail(err)
	}
	p, err := compile(b, text)
	if err != nil {
		return fail(err)
	}
	out := &endpointv3.ClusterLoadAssignment{ClusterName: in.Plain.Name}
	for _, group := range plain.Endpoints {
		one, err := in.group(p, group)
		if err != nil {
			return fail(err)
		}
		if out.Policy == nil {
			out.Policy = one.Policy
		}
		out.Endpoints = append(out.Endpoints, one.Endpoints...)
	}
	if out.Policy == nil {
		// Health checks of the template must not send requests to a worse priority
		// either.
		out.Policy = plain.Policy
	}
	made, err := resource.New(resource.Endpoint, in.Plain.Name, out, in.Plain.Sources...)
	if err != nil {
		return fail(err)
	}
	return made, nil
}

// group renders the endpoints of one priority.
func (in *Assignment) group(p *program, group *endpointv3.LocalityLbEndpoints) (*endpointv3.ClusterLoadAssignment, error) {
	parameters := EndpointParameters{ClusterName: in.Plain.Name, ServiceName: in.Service}
	known := map[string]*endpointv3.LbEndpoint{}
	for _, e := range group.LbEndpoints {
		known[socketOf(e)] = e
		parameters.Endpoints = append(parameters.Endpoints, viewOf(e))
	}
	text, err := p.run(parameters)
	if err != nil {
		return nil, err
	}
	one := &endpointv3.ClusterLoadAssignment{}
	if err := decode(text, in.Template.Serialization, p.values, one); err != nil {
		return nil, err
	}
	if one.ClusterName != in.Plain.Name {
		return nil, &fieldError{"cluster_name", fmt.Sprintf("is %.200q: write {{.ClusterName}}", one.ClusterName)}
	}
	c := confinement{clusters: map[string]bool{in.Plain.Name: true}}
	if found := c.check(one); len(found) > 0 {
		return nil, &found[0]
	}
	for i, locality := range one.Endpoints {
		locality.Priority = group.Priority
		for j, e := range locality.LbEndpoints {
			has := known[socketOf(e)]
			if has == nil {
				at := e.GetEndpoint().GetAddress().GetSocketAddress()
				return nil, &fieldError{
					fmt.Sprintf("endpoints[%d].lb_endpoints[%d].endpoint.address", i, j),
					fmt.Sprintf("%.200q port %d is not an endpoint of the cluster: write {{.Spec.Address}} and {{.Spec.Port.Port}}", at.GetAddress(), at.GetPortValue()),
				}
			}
			e.GetEndpoint().Address = has.GetEndpoint().GetAddress()
			if e.LoadBalancingWeight == nil {
				e.LoadBalancingWeight = has.LoadBalancingWeight
			}
			if e.Metadata == nil {
				e.Metadata = has.Metadata
			} else {
				proto.Merge(e.Metadata, has.Metadata)
			}
		}
	}
	return one, nil
}

// viewOf returns an endpoint as templates see it.
func viewOf(e *endpointv3.LbEndpoint) Endpoint {
	at := e.GetEndpoint().GetAddress().GetSocketAddress()
	said := e.GetMetadata().GetFilterMetadata()[translate.MetadataKey].GetFields()
	return Endpoint{Spec: EndpointSpec{
		Cluster: said["cluster"].GetStringValue(), NodeAddress: said["node"].GetStringValue(), Address: at.GetAddress(),
		Port: epicv1.EndpointPort{Port: int32(at.GetPortValue()), Protocol: corev1.Protocol(at.GetProtocol().String())},
	}}
}

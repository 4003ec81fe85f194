// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// wholeWeight is the weight of each cluster of a load balancer.
const wholeWeight = 100

// loadBalancerView returns the parameters of a load balancer's templates: a listener for
// each published port, with a cluster for each client cluster. A cluster has the name of
// the client cluster, followed by the port if there are several.
func loadBalancerView(in *Input) *view {
	lb, v := in.LoadBalancer, &view{}
	clients := slices.Sorted(slices.Values(lb.Spec.UpstreamClusters))
	clients = slices.Compact(clients)
	for i := range in.Plain.Backends {
		published := in.Plain.Backends[i].Port
		protocol := corev1.ProtocolTCP
		if published.Protocol != protocolTCP {
			protocol = corev1.ProtocolUDP
		}
		port := fmt.Sprintf("%s-%d", protocol, published.Port)
		l := ListenerParameters{
			PortName: port, Port: int32(published.Port), Protocol: protocol,
			ServiceNamespace: lb.Namespace, ServiceName: lb.Name, PureLBServiceName: lb.Spec.DisplayName,
			ClusterWeight: wholeWeight, TotalWeight: wholeWeight * len(clients),
		}
		for _, client := range clients {
			name := clusterName(client)
			if len(in.Plain.Backends) > 1 {
				name += "-" + port
			}
			l.Clusters = append(l.Clusters, name)
			backend := translate.Backend{Name: name, Port: published, Cluster: client, Sources: []resource.Source{in.proxy()}}
			v.clusters = append(v.clusters, clusterView{backend: backend, parameters: ClusterParameters{
				ClusterName: name, ServiceNamespace: lb.Namespace, ServiceName: lb.Name, PureLBServiceName: lb.Spec.DisplayName,
				Endpoints: remoteEndpoints(in, &backend),
			}})
		}
		if len(clients) == 0 {
			v.problems = append(v.problems, translate.Problem{
				Object: in.proxy(), Field: "spec.upstream-clusters", Reason: ReasonNotServed,
				Message: fmt.Sprintf("is empty, so the template has no cluster for %s: add a client cluster", port),
			})
			continue
		}
		v.listeners = append(v.listeners, l)
	}
	return v
}

// clusterName returns the cluster name for a name that a tenant chose. It never returns a
// name that the bootstrap uses for the xDS server and the admin interface: routes to such
// a name would be ambiguous.
func clusterName(given string) string {
	if strings.HasPrefix(given, bootstrapPrefix) {
		return "backend/" + given
	}
	return given
}

// bootstrapPrefix is the prefix of the names of the clusters in the bootstrap.
const bootstrapPrefix = "epic-"

// remoteEndpoints returns the endpoints of a cluster, as templates see them.
func remoteEndpoints(in *Input, b *translate.Backend) []Endpoint {
	served := map[string]bool{}
	for _, a := range b.Addresses(translate.EndpointsInput{LoadBalancer: in.LoadBalancer, RemoteEndpoints: in.RemoteEndpoints}) {
		served[endpointKey(a.Addr().String(), uint32(a.Port()))] = true
	}
	var out []Endpoint
	for _, rep := range in.RemoteEndpoints {
		if rep != nil && rep.Spec.Cluster == b.Cluster && served[endpointKey(rep.Spec.Address, uint32(rep.Spec.Port.Port))] {
			out = append(out, endpointOf(rep))
		}
	}
	return out
}

func endpointOf(rep *epicv1.RemoteEndpoint) Endpoint {
	spec := rep.Spec.DeepCopy()
	if spec.Port.Protocol == "" {
		spec.Port.Protocol = corev1.ProtocolTCP
	}
	return Endpoint{Spec: EndpointSpec{Cluster: spec.Cluster, Address: spec.Address, NodeAddress: spec.NodeAddress, Port: spec.Port}}
}

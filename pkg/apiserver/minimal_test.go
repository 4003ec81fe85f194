// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	apiservertesting "github.com/acnodal/epic/pkg/apiserver/testing"
)

// minimal has an object of every kind with as little in it as the server takes,
// in the order in which they depend on each other. Where Go clients send null for
// an empty list or map, so do these.
var minimal = []struct{ resource, yaml string }{
	{"epics", `{kind: EPIC, metadata: {namespace: epic, name: epic}}`},
	{"serviceprefixes", `{kind: ServicePrefix, metadata: {namespace: epic, name: pool},
		spec: {public-pool: {pool: 192.0.2.0/28, subnet: 192.0.2.0/24, aggregation: default}}}`},
	{"accounts", `{kind: Account, metadata: {namespace: epic-one, name: one}}`},
	{"lbservicegroups", `{kind: LBServiceGroup, metadata: {namespace: epic-one, name: web, labels: {epic.acnodal.io/owning-serviceprefix: pool}}}`},
	{"loadbalancers", `{kind: LoadBalancer, metadata: {namespace: epic-one, name: lb}, spec: {service-group: web, upstream-clusters: [c]}}`},
	{"remoteendpoints", `{kind: RemoteEndpoint, metadata: {namespace: epic-one, name: rep, labels: {epic.acnodal.io/owning-loadbalancer: lb}},
		spec: {cluster: c, address: 10.0.0.1, port: {port: 80}}}`},
	{"gwproxies", `{kind: GWProxy, metadata: {namespace: epic-one, name: gwp, labels: {epic.acnodal.io/owning-lbservicegroup: web}},
		spec: {public-ports: null}}`},
	{"gwroutes", `{kind: GWRoute, metadata: {namespace: epic-one, name: route},
		spec: {tcp: {parentRefs: [{name: gwp}], rules: [{backendRefs: [{name: service}]}]}}}`},
	{"gwendpointslices", `{kind: GWEndpointSlice, metadata: {namespace: epic-one, name: slice},
		spec: {nodeAddresses: null, addressType: IPv4, endpoints: null, ports: null}}`},
	{"gatewaynodes", `{kind: GatewayNode, metadata: {namespace: epic, name: 192.0.2.250}}`},
}

// created is an object that a server has.
type created struct {
	resource string
	client   dynamic.ResourceInterface
	object   *unstructured.Unstructured
}

// createMinimal creates an object of every kind.
func createMinimal(t *testing.T, server *apiservertesting.TestServer) []created {
	t.Helper()
	client, err := dynamic.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	var all []created
	for _, m := range minimal {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(m.yaml), &object.Object); err != nil {
			t.Fatal(err)
		}
		object.SetAPIVersion(epicv1.SchemeGroupVersion.String())
		kind := client.Resource(epicv1.SchemeGroupVersion.WithResource(m.resource)).Namespace(object.GetNamespace())
		out, err := kind.Create(t.Context(), object, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("%s: %v", m.resource, err)
		}
		all = append(all, created{m.resource, kind, out})
	}
	return all
}

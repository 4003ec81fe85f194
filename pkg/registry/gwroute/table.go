// SPDX-License-Identifier: Apache-2.0

package gwroute

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

type object = epic.GWRoute

func newTable() rest.TableConvertor {
	return kind.NewTable[object](epic.ResourceGWRoutes,
		kind.Text("Client Cluster", "The client cluster of the route.", func(o *object) string { return o.Spec.ClientRef.ClusterID }),
		kind.Text("Client NS", "The route's namespace in that cluster.", func(o *object) string { return o.Spec.ClientRef.Namespace }),
		kind.Text("Client Name", "The route's name in that cluster.", func(o *object) string { return o.Spec.ClientRef.Name }),
		kind.Text("Type", "What the route is for: HTTP, GRPC, TLS, TCP or UDP.", routeType),
		kind.Condition("Programmed", "Programmed", "Whether the Envoys have accepted the newest configuration.", func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Text("Parents", "The gateway proxies to which the route belongs.", func(o *object) string { return strings.Join(parents(o), ",") }).Wide(),
		kind.Text("Hostnames", "The hostnames of the route.", hostnames).Wide(),
		kind.Number("Rules", "Number of rules of the route.", rules).Wide(),
	)
}

func routeType(o *object) string {
	var types []string
	for _, t := range []struct {
		name  string
		given bool
	}{
		{"HTTP", o.Spec.HTTP != nil}, {"GRPC", o.Spec.GRPC != nil}, {"TLS", o.Spec.TLS != nil},
		{"TCP", o.Spec.TCP != nil}, {"UDP", o.Spec.UDP != nil},
	} {
		if t.given {
			types = append(types, t.name)
		}
	}
	return strings.Join(types, ",")
}

func hostnames(o *object) string {
	var all []gatewayv1.Hostname
	if o.Spec.HTTP != nil {
		all = append(all, o.Spec.HTTP.Hostnames...)
	}
	if o.Spec.GRPC != nil {
		all = append(all, o.Spec.GRPC.Hostnames...)
	}
	if o.Spec.TLS != nil {
		all = append(all, o.Spec.TLS.Hostnames...)
	}
	var names []string
	for _, h := range all {
		names = append(names, string(h))
	}
	return strings.Join(names, ",")
}

func rules(o *object) int64 {
	var n int
	if o.Spec.HTTP != nil {
		n += len(o.Spec.HTTP.Rules)
	}
	if o.Spec.GRPC != nil {
		n += len(o.Spec.GRPC.Rules)
	}
	if o.Spec.TLS != nil {
		n += len(o.Spec.TLS.Rules)
	}
	if o.Spec.TCP != nil {
		n += len(o.Spec.TCP.Rules)
	}
	if o.Spec.UDP != nil {
		n += len(o.Spec.UDP.Rules)
	}
	return int64(n)
}

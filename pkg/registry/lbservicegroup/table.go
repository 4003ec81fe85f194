// SPDX-License-Identifier: Apache-2.0

package lbservicegroup

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

type object = epic.LBServiceGroup

func newTable() rest.TableConvertor {
	return kind.NewTable[object](epic.ResourceLBServiceGroups,
		kind.Label[object]("Service Prefix", epic.OwningServicePrefixLabel, "The prefix from which the group's proxies get their addresses."),
		kind.Number("Replicas", "Number of Envoy pods of a proxy of the group.", func(o *object) int64 {
			return int64(ptr.Deref(o.Spec.EnvoyReplicaCount, 1))
		}),
		shared(),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Label[object]("Account", epic.OwningAccountLabel, "The account to which the group belongs.").Wide(),
		kind.Text("DNS Name", "The template of the proxies' DNS names.", dnsName).Wide(),
		kind.Text("Envoy Image", "The Envoy image of the group's proxies.", func(o *object) string { return o.Spec.EnvoyImage }).Wide(),
		kind.Text("Edge Overrides", "The parts of spec.edge that a proxy of the group may set.", edgeOverrides).Wide(),
	)
}

func shared() kind.Column[object] {
	return kind.Column[object]{
		TableColumnDefinition: metav1.TableColumnDefinition{
			Name: "Shared", Type: "boolean", Description: "Whether one load balancer may serve several client clusters.",
		},
		Cell: func(o *object) any { return o.Spec.CanBeShared },
	}
}

func edgeOverrides(o *object) string {
	parts := make([]string, len(o.Spec.EdgeOverrides))
	for i, p := range o.Spec.EdgeOverrides {
		parts[i] = string(p)
	}
	return strings.Join(parts, ",")
}

func dnsName(o *object) string {
	if o.Spec.EndpointTemplate == nil {
		return ""
	}
	return o.Spec.EndpointTemplate.DNSName
}

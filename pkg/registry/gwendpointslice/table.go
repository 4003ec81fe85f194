// SPDX-License-Identifier: Apache-2.0

package gwendpointslice

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

type object = epic.GWEndpointSlice

func newTable() rest.TableConvertor {
	return kind.NewTable[object](epic.ResourceGWEndpointSlices,
		kind.Text("Client Cluster", "The client cluster of the slice.", func(o *object) string { return o.Spec.ClientRef.ClusterID }),
		kind.Text("Client NS", "The slice's namespace in that cluster.", func(o *object) string { return o.Spec.ClientRef.Namespace }),
		kind.Text("Client Name", "The slice's name in that cluster.", func(o *object) string { return o.Spec.ClientRef.Name }),
		kind.Number("Endpoints", "Number of endpoints of the slice.", func(o *object) int64 { return int64(len(o.Spec.Endpoints)) }),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Text("Parent", "The Service to which the slice belongs.", func(o *object) string { return o.Spec.ParentRef.Name }).Wide(),
		kind.Text("Parent UID", "The UID of that Service, by which routes refer to it.", func(o *object) string { return o.Spec.ParentRef.UID }).Wide(),
		kind.Text("Address Type", "The type of the endpoints' addresses.", func(o *object) string { return string(o.Spec.AddressType) }).Wide(),
		kind.Text("Ports", "The ports on which the endpoints listen.", ports).Wide(),
		kind.Number("Nodes", "Number of client nodes with a known address.", func(o *object) int64 { return int64(len(o.Spec.NodeAddresses)) }).Wide(),
	)
}

// ports returns the ports as text. Any part of a port may be missing.
func ports(o *object) string {
	var out []string
	for _, p := range o.Spec.Ports {
		number := "*"
		if p.Port != nil {
			number = fmt.Sprint(*p.Port)
		}
		out = append(out, number+"/"+string(ptr.Deref(p.Protocol, "TCP")))
	}
	return strings.Join(out, ",")
}

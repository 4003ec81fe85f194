// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func TestRemoteMapper(t *testing.T) {
	mapper := RemoteMapper()
	for kind, resource := range map[schema.GroupKind]string{
		{Group: epic.GroupName, Kind: "GWProxy"}:         "gwproxies",
		{Group: epic.GroupName, Kind: "GWRoute"}:         "gwroutes",
		{Group: epic.GroupName, Kind: "GWEndpointSlice"}: "gwendpointslices",
		{Group: epic.GroupName, Kind: "LoadBalancer"}:    "loadbalancers",
		{Group: epic.GroupName, Kind: "RemoteEndpoint"}:  "remoteendpoints",
		{Group: epic.GroupName, Kind: "LBServiceGroup"}:  "lbservicegroups",
		{Kind: "Secret"}: "secrets",
	} {
		m, err := mapper.RESTMapping(kind)
		if err != nil || m.Resource.Resource != resource || m.Scope.Name() != meta.RESTScopeNameNamespace {
			t.Fatalf("%s is mapped to %+v, %v", kind, m, err)
		}
		// The caches' lists are mapped, too.
		kind.Kind += "List"
		if m, err := mapper.RESTMapping(kind, m.GroupVersionKind.Version); err != nil || m.Scope.Name() != meta.RESTScopeNameNamespace {
			t.Errorf("%s is mapped to %+v, %v", kind, m, err)
		}
	}
}

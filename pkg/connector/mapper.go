// SPDX-License-Identifier: Apache-2.0

package connector

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// RemoteMapper returns a mapper for the resources that the connector uses in EPIC, which
// are all namespaced. Discovery would require EPIC, and a credential that it accepts,
// before the connector starts.
func RemoteMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{epicv1.SchemeGroupVersion, corev1.SchemeGroupVersion})
	add := func(version schema.GroupVersion, kind string) {
		mapper.Add(version.WithKind(kind), meta.RESTScopeNamespace)
		// Caches request the list kinds, which discovery would include.
		mapper.Add(version.WithKind(kind+"List"), meta.RESTScopeNamespace)
	}
	for _, kind := range []string{"GWEndpointSlice", "GWProxy", "GWRoute", "LBServiceGroup", "LoadBalancer", "RemoteEndpoint"} {
		add(epicv1.SchemeGroupVersion, kind)
	}
	add(corev1.SchemeGroupVersion, "Secret")
	return mapper
}

// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"slices"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/secretrefs"
)

// SecretsOf returns the distinct names of the Secrets, all in the proxy's namespace, that
// the translation of a gateway proxy and its routes reads, sorted.
func SecretsOf(proxy *epicv1.GWProxy, routes []*epicv1.GWRoute) []string {
	names := secretrefs.Of(proxy)
	for _, r := range routes {
		for i := range r.Spec.Backends {
			if v := r.Spec.Backends[i].TLS; v != nil {
				for _, ref := range v.CACertificateRefs {
					names = append(names, string(ref.Name))
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

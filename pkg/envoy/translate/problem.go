// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Reasons of problems, in addition to those of package endpoints and of the Gateway API.
const (
	// ReasonNoEndpointForPort is a published port of a load balancer, or an endpoint of
	// one, that nothing matches.
	ReasonNoEndpointForPort = "NoEndpointForPort"
	// ReasonAddressMissing is a proxy without an address to listen on.
	ReasonAddressMissing = "AddressMissing"
	// ReasonPortConflict is a published port that is listed several times.
	ReasonPortConflict = "PortConflict"
	// ReasonOverrideNotAllowed is an edge setting of a proxy that its group does not allow.
	ReasonOverrideNotAllowed = "OverrideNotAllowed"
	// ReasonNotEncodable is an object with text that Envoy's protocol can't encode.
	ReasonNotEncodable = "NotEncodable"
)

// problems collects problems.
type problems []Problem

func (ps *problems) add(object resource.Source, field, reason, format string, args ...any) {
	*ps = append(*ps, Problem{Object: object, Field: field, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

// sorted returns the distinct problems, in order.
func (ps problems) sorted() []Problem {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Object.Kind, b.Object.Kind), cmp.Compare(a.Object.Namespace, b.Object.Namespace),
			cmp.Compare(a.Object.Name, b.Object.Name), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Reason, b.Reason), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(ps)
}

// ofEndpoints converts the problems of package endpoints, whose objects are in a
// namespace.
func (ps *problems) ofEndpoints(namespace string, found []endpoints.Problem) {
	for _, p := range found {
		message := p.Message
		if p.Count > 1 {
			message = fmt.Sprintf("%s (and %d more)", message, p.Count-1)
		}
		kind, name, _ := strings.Cut(p.Object, " ")
		ps.add(resource.Source{Kind: kind, Namespace: namespace, Name: name}, "", p.Reason, "%s", message)
	}
}

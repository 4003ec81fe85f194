// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// once lists the filters that a rule may have only once.
var once = []gatewayv1.HTTPRouteFilterType{
	gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterResponseHeaderModifier,
	gatewayv1.HTTPRouteFilterRequestRedirect, gatewayv1.HTTPRouteFilterURLRewrite, gatewayv1.HTTPRouteFilterCORS,
}

// supported lists the filters that gateway proxies support. An ExtensionRef is a
// reference that never resolves.
var supported = append(slices.Clone(once), gatewayv1.HTTPRouteFilterRequestMirror,
	gatewayv1.HTTPRouteFilterExternalAuth, gatewayv1.HTTPRouteFilterExtensionRef)

// rulesOf returns for each rule of a route whether it can be served.
func rulesOf(route *Route) []verdict {
	var rules []verdict
	switch o := route.Object.(type) {
	case *gatewayv1.HTTPRoute:
		for i := range o.Spec.Rules {
			v := httpFilters(o.Spec.Rules[i].Filters)
			for j := range o.Spec.Rules[i].BackendRefs {
				if more := httpFilters(o.Spec.Rules[i].BackendRefs[j].Filters); more.no {
					v.refuse(more.reason, fmt.Sprintf("backendRefs[%d]: %s", j, more.message))
				}
			}
			rules = append(rules, v)
		}
	case *gatewayv1.GRPCRoute:
		for i := range o.Spec.Rules {
			rules = append(rules, httpFilters(asHTTP(o.Spec.Rules[i].Filters)))
		}
	}
	return rules
}

func httpFilters(filters []gatewayv1.HTTPRouteFilter) verdict {
	var v verdict
	seen := map[gatewayv1.HTTPRouteFilterType]bool{}
	for i := range filters {
		kind := filters[i].Type
		switch {
		case !slices.Contains(supported, kind):
			v.refuse(string(gatewayv1.RouteReasonUnsupportedValue), fmt.Sprintf("the filter type %s is not supported: use one of %s", kind, list(supported)))
		case seen[kind] && slices.Contains(once, kind):
			v.refuse(string(gatewayv1.RouteReasonIncompatibleFilters), fmt.Sprintf("the filter %s appears twice: merge the two", kind))
		}
		seen[kind] = true
	}
	if seen[gatewayv1.HTTPRouteFilterURLRewrite] && seen[gatewayv1.HTTPRouteFilterRequestRedirect] {
		v.refuse(string(gatewayv1.RouteReasonIncompatibleFilters), "a request can't be rewritten and redirected: remove one of the filters URLRewrite and RequestRedirect")
	}
	return v
}

// ruleVerdict refuses a route that has rules, none of which can be served.
func ruleVerdict(route *Route) verdict {
	rules := rulesOf(route)
	if len(rules) == 0 || slices.ContainsFunc(rules, func(v verdict) bool { return !v.no }) {
		return verdict{}
	}
	return verdict{reason: rules[0].reason, message: "rules[0]: " + rules[0].message, no: true}
}

// dropped describes the rules of a route that are omitted, as required by the Gateway
// API; empty if none is.
func dropped(route *Route) string {
	text := ""
	for i, v := range rulesOf(route) {
		if v.no {
			text += fmt.Sprintf("; rules[%d]: %s", i, v.message)
		}
	}
	if text == "" {
		return ""
	}
	return "Dropped Rule" + text
}

// dropRules removes the rules that can't be served from a copy of a route.
func dropRules(route *Route, copied metav1.Object) {
	rules := rulesOf(route)
	i := -1
	next := func() bool { i++; return i < len(rules) && rules[i].no }
	switch o := copied.(type) {
	case *gatewayv1.HTTPRoute:
		o.Spec.Rules = slices.DeleteFunc(o.Spec.Rules, func(gatewayv1.HTTPRouteRule) bool { return next() })
	case *gatewayv1.GRPCRoute:
		o.Spec.Rules = slices.DeleteFunc(o.Spec.Rules, func(gatewayv1.GRPCRouteRule) bool { return next() })
	}
}

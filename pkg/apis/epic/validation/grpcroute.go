// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var (
	grpcFilterTypes = []gatewayv1.GRPCRouteFilterType{
		gatewayv1.GRPCRouteFilterRequestHeaderModifier, gatewayv1.GRPCRouteFilterResponseHeaderModifier,
		gatewayv1.GRPCRouteFilterRequestMirror, gatewayv1.GRPCRouteFilterExtensionRef,
	}
	// The names of gRPC services and methods, as the Gateway API has them.
	grpcServiceForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z_0-9]*(\.[A-Za-z_][A-Za-z_0-9]*)*$`)
	grpcMethodForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z_0-9]*$`)
)

// grpcRoute checks the spec of a GRPCRoute.
func grpcRoute(path *field.Path, spec *gatewayv1.GRPCRouteSpec) field.ErrorList {
	return requestRoute(path, spec, spec.ParentRefs, spec.Hostnames, spec.Rules,
		func(r *gatewayv1.GRPCRouteRule) int { return len(r.Matches) }, grpcRule)
}

func grpcRule(path *field.Path, r *gatewayv1.GRPCRouteRule, expressions *regexps) field.ErrorList {
	return requestRule[gatewayv1.GRPCRouteMatch, gatewayv1.GRPCRouteFilter, gatewayv1.GRPCBackendRef]{
		matches: r.Matches, match: grpcMatch, filters: r.Filters, checkFilters: grpcFilters, backends: r.BackendRefs,
		backend: func(b *gatewayv1.GRPCBackendRef) (*gatewayv1.BackendRef, []gatewayv1.GRPCRouteFilter) {
			return &b.BackendRef, b.Filters
		},
		rest: func() field.ErrorList { return persistence(path.Child("sessionPersistence"), r.SessionPersistence) },
	}.check(path, expressions)
}

func grpcMatch(path *field.Path, m *gatewayv1.GRPCRouteMatch, expressions *regexps) field.ErrorList {
	errs := grpcMethod(path.Child("method"), m.Method, expressions)
	if more := atMost(path.Child("headers"), len(m.Headers), maxHeaders); len(more) > 0 {
		return append(errs, more...)
	}
	for i, h := range m.Headers {
		if full(errs) {
			break
		}
		errs = append(errs, valueMatch(path.Child("headers").Index(i), string(h.Name), h.Type, h.Value, maxHeaderValue, expressions)...)
	}
	return errs
}

func grpcMethod(path *field.Path, m *gatewayv1.GRPCMethodMatch, expressions *regexps) field.ErrorList {
	if m == nil {
		return nil
	}
	kind := gatewayv1.GRPCMethodMatchExact
	if m.Type != nil {
		kind = *m.Type
	}
	errs := oneOf(path.Child("type"), kind, gatewayv1.GRPCMethodMatchExact, gatewayv1.GRPCMethodMatchRegularExpression)
	given := false
	for _, part := range []struct {
		name  string
		value *string
		form  *regexp.Regexp
	}{{"service", m.Service, grpcServiceForm}, {"method", m.Method, grpcMethodForm}} {
		if part.value == nil || *part.value == "" {
			continue
		}
		given = true
		at := path.Child(part.name)
		errs = append(errs, pattern(at, *part.value, maxPath, kind == gatewayv1.GRPCMethodMatchRegularExpression, expressions)...)
		if kind == gatewayv1.GRPCMethodMatchExact && !part.form.MatchString(*part.value) {
			errs = append(errs, field.Invalid(at, quoted(*part.value), "must be a name of letters, digits and underscores that does not begin with a digit: correct it, or set type to RegularExpression"))
		}
	}
	if !given {
		errs = append(errs, field.Required(path, "must have a service, a method or both: add one, or remove method"))
	}
	return errs
}

func grpcFilters(path *field.Path, fs []gatewayv1.GRPCRouteFilter) field.ErrorList {
	var errs field.ErrorList
	for i := range fs {
		if full(errs) {
			break
		}
		f := &fs[i]
		at := path.Index(i)
		more := oneOf(at.Child("type"), f.Type, grpcFilterTypes...)
		if len(more) == 0 {
			// What both kinds of routes have is checked in one place.
			more = filter(at, &gatewayv1.HTTPRouteFilter{
				Type:                  gatewayv1.HTTPRouteFilterType(f.Type),
				RequestHeaderModifier: f.RequestHeaderModifier, ResponseHeaderModifier: f.ResponseHeaderModifier,
				RequestMirror: f.RequestMirror, ExtensionRef: f.ExtensionRef,
			})
		}
		errs = append(errs, more...)
	}
	return errs
}

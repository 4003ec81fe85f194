// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"math"
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var (
	filterTypes = []gatewayv1.HTTPRouteFilterType{
		gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterResponseHeaderModifier,
		gatewayv1.HTTPRouteFilterRequestMirror, gatewayv1.HTTPRouteFilterRequestRedirect, gatewayv1.HTTPRouteFilterURLRewrite,
		gatewayv1.HTTPRouteFilterExtensionRef, gatewayv1.HTTPRouteFilterCORS, gatewayv1.HTTPRouteFilterExternalAuth,
	}
	redirectCodes = []int{301, 302, 303, 307, 308}
	// originForm is that of the Gateway API, and a lone star.
	originForm = regexp.MustCompile(`^(\*|https?://((\*\.)?([a-zA-Z0-9-]+\.)*[a-zA-Z0-9-]+|\*)(:[0-9]{1,5})?)$`)
)

// maxCORS is the maximum number of origins, methods or headers in one list of a filter.
const maxCORS = 64

// filters checks the filters of a rule or of a backend.
func filters(path *field.Path, fs []gatewayv1.HTTPRouteFilter) field.ErrorList {
	var errs field.ErrorList
	for i := range fs {
		if full(errs) {
			break
		}
		errs = append(errs, filter(path.Index(i), &fs[i])...)
	}
	return errs
}

func filter(path *field.Path, f *gatewayv1.HTTPRouteFilter) field.ErrorList {
	errs := oneOf(path.Child("type"), f.Type, filterTypes...)
	if len(errs) > 0 {
		return errs
	}
	// Each type has its settings in a field of its own.
	settings := map[gatewayv1.HTTPRouteFilterType]struct {
		name    string
		present bool
	}{
		gatewayv1.HTTPRouteFilterRequestHeaderModifier:  {"requestHeaderModifier", f.RequestHeaderModifier != nil},
		gatewayv1.HTTPRouteFilterResponseHeaderModifier: {"responseHeaderModifier", f.ResponseHeaderModifier != nil},
		gatewayv1.HTTPRouteFilterRequestMirror:          {"requestMirror", f.RequestMirror != nil},
		gatewayv1.HTTPRouteFilterRequestRedirect:        {"requestRedirect", f.RequestRedirect != nil},
		gatewayv1.HTTPRouteFilterURLRewrite:             {"urlRewrite", f.URLRewrite != nil},
		gatewayv1.HTTPRouteFilterExtensionRef:           {"extensionRef", f.ExtensionRef != nil},
		gatewayv1.HTTPRouteFilterCORS:                   {"cors", f.CORS != nil},
		gatewayv1.HTTPRouteFilterExternalAuth:           {"externalAuth", f.ExternalAuth != nil},
	}
	if s := settings[f.Type]; !s.present {
		errs = append(errs, field.Required(path.Child(s.name), fmt.Sprintf("a filter of type %s requires these settings: add them", f.Type)))
	}
	errs = append(errs, headerModifier(path.Child("requestHeaderModifier"), f.RequestHeaderModifier)...)
	errs = append(errs, headerModifier(path.Child("responseHeaderModifier"), f.ResponseHeaderModifier)...)
	if m := f.RequestMirror; m != nil {
		errs = append(errs, mirror(path.Child("requestMirror"), m)...)
	}
	errs = append(errs, redirect(path.Child("requestRedirect"), f.RequestRedirect)...)
	if u := f.URLRewrite; u != nil {
		at := path.Child("urlRewrite")
		if u.Hostname != nil {
			errs = append(errs, preciseHostname(at.Child("hostname"), string(*u.Hostname))...)
		}
		errs = append(errs, pathModifier(at.Child("path"), u.Path)...)
	}
	errs = append(errs, cors(path.Child("cors"), f.CORS)...)
	errs = append(errs, externalAuth(path.Child("externalAuth"), f.ExternalAuth)...)
	if e := f.ExtensionRef; e != nil {
		errs = append(errs, dnsName(path.Child("extensionRef", "name"), string(e.Name))...)
	}
	return errs
}

func mirror(path *field.Path, m *gatewayv1.HTTPRequestMirrorFilter) field.ErrorList {
	errs := target(path.Child("backendRef"), &m.BackendRef)
	if m.Percent != nil {
		errs = append(errs, between(path.Child("percent"), *m.Percent, 0, 100)...)
	}
	f := m.Fraction
	if f == nil {
		return errs
	}
	path = path.Child("fraction")
	if m.Percent != nil {
		errs = append(errs, field.Forbidden(path, "can't be set together with percent: remove one of the two"))
	}
	denominator := int32(100)
	if f.Denominator != nil {
		denominator = *f.Denominator
		errs = append(errs, between(path.Child("denominator"), denominator, 1, math.MaxInt32)...)
	}
	return append(errs, between(path.Child("numerator"), f.Numerator, 0, max(denominator, 0))...)
}

// cors checks which pages of other origins may read answers.
func cors(path *field.Path, c *gatewayv1.HTTPCORSFilter) field.ErrorList {
	if c == nil {
		return nil
	}
	errs := atMost(path.Child("allowOrigins"), len(c.AllowOrigins), maxCORS)
	errs = append(errs, atMost(path.Child("allowMethods"), len(c.AllowMethods), maxCORS)...)
	errs = append(errs, atMost(path.Child("allowHeaders"), len(c.AllowHeaders), maxCORS)...)
	errs = append(errs, atMost(path.Child("exposeHeaders"), len(c.ExposeHeaders), maxCORS)...)
	if len(errs) > 0 {
		return errs
	}
	for i, o := range c.AllowOrigins {
		if full(errs) {
			break
		}
		if !originForm.MatchString(string(o)) || len(o) > maxHostname {
			errs = append(errs, field.Invalid(path.Child("allowOrigins").Index(i), quoted(string(o)), "must be *, or an origin such as https://www.example.com or https://*.example.com:8443"))
		}
	}
	for i, m := range c.AllowMethods {
		if full(errs) {
			break
		}
		errs = append(errs, oneOf(path.Child("allowMethods").Index(i), gatewayv1.HTTPMethod(m), append([]gatewayv1.HTTPMethod{"*"}, methods...)...)...)
	}
	for i, h := range c.AllowHeaders {
		if full(errs) {
			break
		}
		errs = append(errs, headerName(path.Child("allowHeaders").Index(i), string(h))...)
	}
	for i, h := range c.ExposeHeaders {
		if full(errs) {
			break
		}
		errs = append(errs, headerName(path.Child("exposeHeaders").Index(i), string(h))...)
	}
	return append(errs, notNegative(path.Child("maxAge"), c.MaxAge)...)
}

// externalAuth checks which service decides about requests.
func externalAuth(path *field.Path, a *gatewayv1.HTTPExternalAuthFilter) field.ErrorList {
	if a == nil {
		return nil
	}
	errs := oneOf(path.Child("protocol"), a.ExternalAuthProtocol, gatewayv1.HTTPRouteExternalAuthGRPCProtocol, gatewayv1.HTTPRouteExternalAuthHTTPProtocol)
	errs = append(errs, target(path.Child("backendRef"), &a.BackendRef)...)
	names := func(path *field.Path, all []string) {
		more := atMost(path, len(all), maxCORS)
		for i, h := range all {
			if full(more) || len(all) > maxCORS {
				break
			}
			more = append(more, headerName(path.Index(i), h)...)
		}
		errs = append(errs, more...)
	}
	if g := a.GRPCAuthConfig; g != nil {
		names(path.Child("grpc", "allowedHeaders"), g.AllowedRequestHeaders)
	}
	if h := a.HTTPAuthConfig; h != nil {
		at := path.Child("http")
		errs = append(errs, text(at.Child("path"), h.Path, maxPath)...)
		names(at.Child("allowedHeaders"), h.AllowedRequestHeaders)
		names(at.Child("allowedResponseHeaders"), h.AllowedResponseHeaders)
	}
	return errs
}

func headerModifier(path *field.Path, m *gatewayv1.HTTPHeaderFilter) field.ErrorList {
	if m == nil {
		return nil
	}
	errs := atMost(path.Child("set"), len(m.Set), maxHeaders)
	errs = append(errs, atMost(path.Child("add"), len(m.Add), maxHeaders)...)
	errs = append(errs, atMost(path.Child("remove"), len(m.Remove), maxHeaders)...)
	if len(errs) > 0 {
		return errs
	}
	for i, h := range m.Set {
		if full(errs) {
			break
		}
		errs = append(errs, headerName(path.Child("set").Index(i).Child("name"), string(h.Name))...)
	}
	for i, h := range m.Add {
		if full(errs) {
			break
		}
		errs = append(errs, headerName(path.Child("add").Index(i).Child("name"), string(h.Name))...)
	}
	for i, h := range m.Remove {
		if full(errs) {
			break
		}
		errs = append(errs, headerName(path.Child("remove").Index(i), h)...)
	}
	return errs
}

func redirect(path *field.Path, r *gatewayv1.HTTPRequestRedirectFilter) field.ErrorList {
	if r == nil {
		return nil
	}
	var errs field.ErrorList
	if r.Scheme != nil {
		errs = append(errs, oneOf(path.Child("scheme"), *r.Scheme, "http", "https")...)
	}
	if r.Hostname != nil {
		errs = append(errs, preciseHostname(path.Child("hostname"), string(*r.Hostname))...)
	}
	if r.Port != nil {
		errs = append(errs, port(path.Child("port"), *r.Port)...)
	}
	if r.StatusCode != nil {
		known := false
		for _, c := range redirectCodes {
			known = known || c == *r.StatusCode
		}
		if !known {
			errs = append(errs, field.Invalid(path.Child("statusCode"), *r.StatusCode, "is not a redirect status: use one of 301, 302, 303, 307, 308"))
		}
	}
	return append(errs, pathModifier(path.Child("path"), r.Path)...)
}

func pathModifier(path *field.Path, m *gatewayv1.HTTPPathModifier) field.ErrorList {
	if m == nil {
		return nil
	}
	errs := oneOf(path.Child("type"), m.Type, gatewayv1.FullPathHTTPPathModifier, gatewayv1.PrefixMatchHTTPPathModifier)
	if m.ReplaceFullPath != nil {
		errs = append(errs, text(path.Child("replaceFullPath"), *m.ReplaceFullPath, maxPath)...)
	}
	if m.ReplacePrefixMatch != nil {
		errs = append(errs, text(path.Child("replacePrefixMatch"), *m.ReplacePrefixMatch, maxPath)...)
	}
	return errs
}

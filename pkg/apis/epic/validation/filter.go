// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

var (
	filterTypes = []gatewayv1.HTTPRouteFilterType{
		gatewayv1.HTTPRouteFilterRequestHeaderModifier, gatewayv1.HTTPRouteFilterResponseHeaderModifier,
		gatewayv1.HTTPRouteFilterRequestMirror, gatewayv1.HTTPRouteFilterRequestRedirect, gatewayv1.HTTPRouteFilterURLRewrite,
		gatewayv1.HTTPRouteFilterExtensionRef, gatewayv1.HTTPRouteFilterCORS,
	}
	redirectCodes = []int{301, 302, 303, 307, 308}
)

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
	}
	if s := settings[f.Type]; !s.present {
		errs = append(errs, field.Required(path.Child(s.name), fmt.Sprintf("a filter of type %s must have its settings here: add them", f.Type)))
	}
	errs = append(errs, headerModifier(path.Child("requestHeaderModifier"), f.RequestHeaderModifier)...)
	errs = append(errs, headerModifier(path.Child("responseHeaderModifier"), f.ResponseHeaderModifier)...)
	if m := f.RequestMirror; m != nil {
		errs = append(errs, target(path.Child("requestMirror", "backendRef"), &m.BackendRef)...)
		if m.Percent != nil {
			errs = append(errs, between(path.Child("requestMirror", "percent"), *m.Percent, 0, 100)...)
		}
	}
	errs = append(errs, redirect(path.Child("requestRedirect"), f.RequestRedirect)...)
	if u := f.URLRewrite; u != nil {
		at := path.Child("urlRewrite")
		if u.Hostname != nil {
			errs = append(errs, preciseHostname(at.Child("hostname"), string(*u.Hostname))...)
		}
		errs = append(errs, pathModifier(at.Child("path"), u.Path)...)
	}
	if e := f.ExtensionRef; e != nil {
		errs = append(errs, dnsName(path.Child("extensionRef", "name"), string(e.Name))...)
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
			errs = append(errs, field.Invalid(path.Child("statusCode"), *r.StatusCode, "is no status of a redirect: use one of 301, 302, 303, 307, 308"))
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

// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"regexp"

	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// durationForm is that of the Gateway API (GEP-2257). All that match are durations of
// Go's, and far from its largest.
var durationForm = regexp.MustCompile(`^([0-9]{1,5}(h|m|s|ms)){1,4}$`)

// duration checks a time that may be left out.
func duration(path *field.Path, d *gatewayv1.Duration) field.ErrorList {
	if d == nil || durationForm.MatchString(string(*d)) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, quoted(string(*d)), "must be a duration such as 10s, 1h30m or 500ms, with at most four numbers of at most five digits")}
}

// timeouts checks the timeouts of a rule.
func timeouts(path *field.Path, t *gatewayv1.HTTPRouteTimeouts) field.ErrorList {
	if t == nil {
		return nil
	}
	errs := duration(path.Child("request"), t.Request)
	return append(errs, duration(path.Child("backendRequest"), t.BackendRequest)...)
}

// persistence checks how the requests of one client stay with one endpoint.
func persistence(path *field.Path, p *gatewayv1.SessionPersistence) field.ErrorList {
	if p == nil {
		return nil
	}
	errs := duration(path.Child("absoluteTimeout"), p.AbsoluteTimeout)
	kind := gatewayv1.CookieBasedSessionPersistence
	if p.Type != nil {
		kind = *p.Type
	}
	errs = append(errs, oneOf(path.Child("type"), kind, gatewayv1.CookieBasedSessionPersistence, gatewayv1.HeaderBasedSessionPersistence)...)
	// It names a cookie or a header, both of which are tokens of HTTP.
	if p.SessionName != nil {
		errs = append(errs, headerName(path.Child("sessionName"), *p.SessionName)...)
	}
	if c := p.CookieConfig; c != nil && c.LifetimeType != nil {
		errs = append(errs, oneOf(path.Child("cookieConfig", "lifetimeType"), *c.LifetimeType, gatewayv1.SessionCookieLifetimeType, gatewayv1.PermanentCookieLifetimeType)...)
		if *c.LifetimeType == gatewayv1.PermanentCookieLifetimeType && p.AbsoluteTimeout == nil {
			errs = append(errs, field.Required(path.Child("absoluteTimeout"), "a permanent cookie must have a lifetime: set absoluteTimeout"))
		}
	}
	return errs
}

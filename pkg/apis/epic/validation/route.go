// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"math"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// The limits of the Gateway API that its original version did not have, or had
// lower.
const (
	maxHeaders     = 16
	maxPath        = 1024
	maxHeaderName  = 256
	maxHeaderValue = 4096
	maxQueryValue  = 1024
)

var (
	methods = []gatewayv1.HTTPMethod{
		gatewayv1.HTTPMethodGet, gatewayv1.HTTPMethodHead, gatewayv1.HTTPMethodPost, gatewayv1.HTTPMethodPut, gatewayv1.HTTPMethodDelete,
		gatewayv1.HTTPMethodConnect, gatewayv1.HTTPMethodOptions, gatewayv1.HTTPMethodTrace, gatewayv1.HTTPMethodPatch,
	}
	// headerForm is what HTTP calls a token.
	headerForm = regexp.MustCompile(`^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$`)
)

// httpRoute checks the spec of an HTTPRoute.
func httpRoute(path *field.Path, spec *gatewayv1.HTTPRouteSpec) field.ErrorList {
	return requestRoute(path, spec, spec.ParentRefs, spec.Hostnames, spec.Rules,
		func(r *gatewayv1.HTTPRouteRule) int { return len(r.Matches) }, httpRule)
}

// requestRoute checks what the routes have in common whose rules match requests.
func requestRoute[Rule any](path *field.Path, spec any, refs []gatewayv1.ParentReference, names []gatewayv1.Hostname, rules []Rule,
	matches func(*Rule) int, check func(*field.Path, *Rule, *regexps) field.ErrorList,
) field.ErrorList {
	errs := atMost(path.Child("hostnames"), len(names), epic.MaxHostnames)
	errs = append(errs, atMost(path.Child("rules"), len(rules), epic.MaxRouteRules)...)
	errs = append(errs, atMost(path.Child("parentRefs"), len(refs), epic.MaxParentRefs)...)
	if len(errs) > 0 {
		return errs
	}
	errs = append(errs, bounded(path, spec)...)
	errs = append(errs, parents(path.Child("parentRefs"), refs)...)
	errs = append(errs, hostnames(path.Child("hostnames"), names)...)
	total := 0
	var expressions regexps
	for i := range rules {
		if full(errs) {
			break
		}
		total += matches(&rules[i])
		errs = append(errs, check(path.Child("rules").Index(i), &rules[i], &expressions)...)
	}
	if total > epic.MaxRouteMatches {
		errs = append(errs, field.Invalid(path.Child("rules"), total, fmt.Sprintf("have more than %d matches together: use several routes", epic.MaxRouteMatches)))
	}
	return errs
}

// parents checks the gateway proxies to which a route belongs.
func parents(path *field.Path, refs []gatewayv1.ParentReference) field.ErrorList {
	if len(refs) == 0 {
		return field.ErrorList{field.Required(path, "a route must refer to a gateway proxy: add a reference with its name")}
	}
	var errs field.ErrorList
	for i, r := range refs {
		if full(errs) {
			break
		}
		at := path.Index(i)
		errs = append(errs, dnsName(at.Child("name"), string(r.Name))...)
		if r.Port != nil {
			errs = append(errs, port(at.Child("port"), *r.Port)...)
		}
		if r.SectionName != nil {
			errs = append(errs, dnsName(at.Child("sectionName"), string(*r.SectionName))...)
		}
	}
	return errs
}

func httpRule(path *field.Path, r *gatewayv1.HTTPRouteRule, expressions *regexps) field.ErrorList {
	return requestRule[gatewayv1.HTTPRouteMatch, gatewayv1.HTTPRouteFilter, gatewayv1.HTTPBackendRef]{
		matches: r.Matches, match: httpMatch, filters: r.Filters, checkFilters: filters, backends: r.BackendRefs,
		backend: func(b *gatewayv1.HTTPBackendRef) (*gatewayv1.BackendRef, []gatewayv1.HTTPRouteFilter) {
			return &b.BackendRef, b.Filters
		},
		rest: func() field.ErrorList {
			errs := timeouts(path.Child("timeouts"), r.Timeouts)
			errs = append(errs, retry(path.Child("retry"), r.Retry)...)
			return append(errs, persistence(path.Child("sessionPersistence"), r.SessionPersistence)...)
		},
	}.check(path, expressions)
}

// requestRule has what the rules have in common that match requests.
type requestRule[Match, Filter, Backend any] struct {
	matches      []Match
	match        func(*field.Path, *Match, *regexps) field.ErrorList
	filters      []Filter
	checkFilters func(*field.Path, []Filter) field.ErrorList
	backends     []Backend
	backend      func(*Backend) (*gatewayv1.BackendRef, []Filter)
	// rest checks what only one kind of rule has.
	rest func() field.ErrorList
}

func (r requestRule[Match, Filter, Backend]) check(path *field.Path, expressions *regexps) field.ErrorList {
	errs := atMost(path.Child("matches"), len(r.matches), epic.MaxRuleMatches)
	errs = append(errs, atMost(path.Child("filters"), len(r.filters), epic.MaxRuleFilters)...)
	errs = append(errs, atMost(path.Child("backendRefs"), len(r.backends), epic.MaxRuleBackends)...)
	if len(errs) > 0 {
		return errs
	}
	for i := range r.matches {
		if full(errs) {
			break
		}
		errs = append(errs, r.match(path.Child("matches").Index(i), &r.matches[i], expressions)...)
	}
	errs = append(errs, r.checkFilters(path.Child("filters"), r.filters)...)
	errs = append(errs, r.rest()...)
	for i := range r.backends {
		if full(errs) {
			break
		}
		b, all := r.backend(&r.backends[i])
		errs = append(errs, backendWithFilters(path.Child("backendRefs").Index(i), b, all, r.checkFilters)...)
	}
	return errs
}

// backendWithFilters checks a backend of a rule that matches requests.
func backendWithFilters[Filter any](path *field.Path, b *gatewayv1.BackendRef, all []Filter, check func(*field.Path, []Filter) field.ErrorList) field.ErrorList {
	errs := backend(path, b)
	if more := atMost(path.Child("filters"), len(all), epic.MaxRuleFilters); len(more) > 0 {
		return append(errs, more...)
	}
	return append(errs, check(path.Child("filters"), all)...)
}

// retry checks numbers that the Go types allow to be larger than the schema does.
func retry(path *field.Path, r *gatewayv1.HTTPRouteRetry) field.ErrorList {
	var errs field.ErrorList
	if r == nil {
		return nil
	}
	if a := r.Attempts; a != nil && (*a < 0 || *a > math.MaxInt32) {
		errs = append(errs, field.Invalid(path.Child("attempts"), *a, fmt.Sprintf("use a number from 0 to %d", math.MaxInt32)))
	}
	errs = append(errs, duration(path.Child("backoff"), r.Backoff)...)
	for i, code := range r.Codes {
		if full(errs) {
			break
		}
		if code < 400 || code > 599 {
			errs = append(errs, field.Invalid(path.Child("codes").Index(i), int(code), "must be an HTTP error status: use a number from 400 to 599"))
		}
	}
	return errs
}

func httpMatch(path *field.Path, m *gatewayv1.HTTPRouteMatch, expressions *regexps) field.ErrorList {
	var errs field.ErrorList
	if m.Path != nil {
		errs = append(errs, pathMatch(path.Child("path"), m.Path, expressions)...)
	}
	if m.Method != nil {
		errs = append(errs, oneOf(path.Child("method"), *m.Method, methods...)...)
	}
	errs = append(errs, atMost(path.Child("headers"), len(m.Headers), maxHeaders)...)
	errs = append(errs, atMost(path.Child("queryParams"), len(m.QueryParams), maxHeaders)...)
	if len(m.Headers) > maxHeaders || len(m.QueryParams) > maxHeaders {
		return errs
	}
	for i, h := range m.Headers {
		if full(errs) {
			break
		}
		errs = append(errs, valueMatch(path.Child("headers").Index(i), string(h.Name), h.Type, h.Value, maxHeaderValue, expressions)...)
	}
	for i, q := range m.QueryParams {
		if full(errs) {
			break
		}
		errs = append(errs, valueMatch(path.Child("queryParams").Index(i), string(q.Name), q.Type, q.Value, maxQueryValue, expressions)...)
	}
	return errs
}

// valueMatch checks the match of a header or of a query parameter, whose types have the
// same values.
func valueMatch[Type ~string](path *field.Path, name string, kind *Type, value string, most int, expressions *regexps) field.ErrorList {
	exact, expression := Type(gatewayv1.HeaderMatchExact), Type(gatewayv1.HeaderMatchRegularExpression)
	is := ptr.Deref(kind, exact)
	errs := headerName(path.Child("name"), name)
	errs = append(errs, oneOf(path.Child("type"), is, exact, expression)...)
	return append(errs, pattern(path.Child("value"), value, most, is == expression, expressions)...)
}

func pathMatch(path *field.Path, m *gatewayv1.HTTPPathMatch, expressions *regexps) field.ErrorList {
	kind, value := gatewayv1.PathMatchPathPrefix, "/"
	if m.Type != nil {
		kind = *m.Type
	}
	if m.Value != nil {
		value = *m.Value
	}
	errs := oneOf(path.Child("type"), kind, gatewayv1.PathMatchExact, gatewayv1.PathMatchPathPrefix, gatewayv1.PathMatchRegularExpression)
	at := path.Child("value")
	errs = append(errs, pattern(at, value, maxPath, kind == gatewayv1.PathMatchRegularExpression, expressions)...)
	if kind != gatewayv1.PathMatchRegularExpression && !strings.HasPrefix(value, "/") {
		errs = append(errs, field.Invalid(at, quoted(value), "must be an absolute path: start it with a slash"))
	}
	return errs
}

// pattern checks a value that is compared, or a regular expression of the kind
// that Envoy knows, which is Go's.
func pattern(path *field.Path, s string, most int, isRegexp bool, expressions *regexps) field.ErrorList {
	if s == "" {
		return field.ErrorList{field.Required(path, "must not be empty: set the value to match")}
	}
	if errs := text(path, s, most); len(errs) > 0 {
		return errs
	}
	if isRegexp {
		return expressions.check(path, s)
	}
	return nil
}

func headerName(path *field.Path, s string) field.ErrorList {
	if len(s) <= maxHeaderName && headerForm.MatchString(s) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, quoted(s), fmt.Sprintf("must be a name of 1 to %d letters, digits and characters of !#$%%&'*+-.^_|~", maxHeaderName))}
}

func backend(path *field.Path, b *gatewayv1.BackendRef) field.ErrorList {
	errs := target(path, &b.BackendObjectReference)
	if b.Weight != nil {
		errs = append(errs, between(path.Child("weight"), *b.Weight, 0, epic.MaxBackendWeight)...)
	}
	return errs
}

func target(path *field.Path, t *gatewayv1.BackendObjectReference) field.ErrorList {
	errs := dnsName(path.Child("name"), string(t.Name))
	if t.Port != nil {
		errs = append(errs, port(path.Child("port"), *t.Port)...)
	}
	return errs
}

// SPDX-License-Identifier: Apache-2.0

package template

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"text/template"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// functions returns the functions that templates may use. Those of text/template that
// produce text are replaced by limited ones.
func (b *budget) functions() template.FuncMap {
	return template.FuncMap{
		"RefWeightsTotal":    refWeightsTotal,
		"ToUpper":            b.toUpper,
		"PathTypeExact":      func(t *gatewayv1.PathMatchType) bool { return is(t, gatewayv1.PathMatchExact) },
		"PathTypePathPrefix": func(t *gatewayv1.PathMatchType) bool { return is(t, gatewayv1.PathMatchPathPrefix) },
		"HeaderTypeExact":    func(t *gatewayv1.HeaderMatchType) bool { return is(t, gatewayv1.HeaderMatchExact) },
		"HeaderTypeRegex":    func(t *gatewayv1.HeaderMatchType) bool { return is(t, gatewayv1.HeaderMatchRegularExpression) },
		"HostnameOrDefault":  hostnameOrDefault,
		"RuleRedirect":       ruleRedirect,
		"StatusToResponse":   statusToResponse,
		"HTTPRoutes":         httpRoutes,
		"TCPRoutes":          tcpRoutes,
		"DerefStr":           derefStr,
		"StripTrailingSlash": stripTrailingSlash,

		"print":    func(args ...any) (string, error) { return b.print(fmt.Sprint, args) },
		"println":  func(args ...any) (string, error) { return b.print(fmt.Sprintln, args) },
		"html":     func(args ...any) (string, error) { return b.print(template.HTMLEscaper, args) },
		"js":       func(args ...any) (string, error) { return b.print(template.JSEscaper, args) },
		"urlquery": func(args ...any) (string, error) { return b.print(template.URLQueryEscaper, args) },
		"printf":   b.printf,
	}
}

func is[T comparable](has *T, want T) bool { return has != nil && *has == want }

func refWeightsTotal(refs []gatewayv1.HTTPBackendRef) int {
	total := 0
	for i := range refs {
		if refs[i].Weight == nil {
			total++ // the default of the Gateway API
			continue
		}
		total += int(*refs[i].Weight)
	}
	return total
}

func (b *budget) toUpper(value any) (string, error) {
	s, err := derefStr(value)
	if err == nil {
		err = b.text(len(s))
	}
	return strings.ToUpper(s), err
}

func hostnameOrDefault(names []gatewayv1.Hostname) []gatewayv1.Hostname {
	if len(names) > 0 {
		return names
	}
	return []gatewayv1.Hostname{"*"}
}

func ruleRedirect(rule gatewayv1.HTTPRouteRule) bool {
	for i := range rule.Filters {
		if rule.Filters[i].RequestRedirect != nil {
			return true
		}
	}
	return false
}

// statusToResponse returns Envoy's name for a redirect status.
func statusToResponse(status int) string {
	switch status {
	case 301:
		return "MOVED_PERMANENTLY"
	case 303:
		return "SEE_OTHER"
	case 307:
		return "TEMPORARY_REDIRECT"
	case 308:
		return "PERMANENT_REDIRECT"
	}
	return "FOUND"
}

func httpRoutes(routes []Route) []*gatewayv1.HTTPRouteSpec {
	var out []*gatewayv1.HTTPRouteSpec
	for _, r := range routes {
		if r.Spec.HTTP != nil {
			out = append(out, r.Spec.HTTP)
		}
	}
	return out
}

func tcpRoutes(routes []Route) []*gatewayv1.TCPRouteSpec {
	var out []*gatewayv1.TCPRouteSpec
	for _, r := range routes {
		if r.Spec.TCP != nil {
			out = append(out, r.Spec.TCP)
		}
	}
	return out
}

// derefStr returns a text, dereferenced if it is a pointer, or "" for nil.
func derefStr(value any) (string, error) {
	v := reflect.ValueOf(value)
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return "", nil
	case v.Kind() != reflect.String:
		return "", fmt.Errorf("passes a %s to a text function: pass a text", v.Type())
	}
	return v.String(), nil
}

func stripTrailingSlash(value any) (string, error) {
	s, err := derefStr(value)
	return strings.TrimSuffix(s, "/"), err
}

// scalars dereferences pointers. It returns an error for values other than texts, numbers
// and booleans: memory addresses must not be exposed, and whole objects have unlimited
// size.
func scalars(args []any) (plain []any, longest int, err error) {
	for _, a := range args {
		v := reflect.ValueOf(a)
		for v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		switch k := v.Kind(); {
		case k == reflect.String:
			plain, longest = append(plain, v.String()), max(longest, v.Len())
		case k >= reflect.Int && k <= reflect.Int64:
			plain, longest = append(plain, v.Int()), max(longest, 32)
		case k >= reflect.Uint && k <= reflect.Uint64:
			plain, longest = append(plain, v.Uint()), max(longest, 32)
		case k == reflect.Float32 || k == reflect.Float64:
			plain, longest = append(plain, v.Float()), max(longest, 512)
		case k == reflect.Bool:
			plain = append(plain, v.Bool())
		default:
			return nil, 0, errors.New("prints a value that is not a text, number or boolean: select one of its fields")
		}
	}
	return plain, longest, nil
}

// escaped is the maximum number of bytes to which a function expands one byte.
const escaped = 12

func (b *budget) print(format func(...any) string, args []any) (string, error) {
	plain, _, err := scalars(args)
	if err != nil {
		return "", err
	}
	n := 0
	for _, a := range plain {
		n += 1 + 32
		if s, ok := a.(string); ok {
			n += escaped * len(s)
		}
	}
	if err := b.text(n); err != nil {
		return "", err
	}
	return format(plain...), nil
}

func (b *budget) printf(format string, args ...any) (string, error) {
	plain, longest, err := scalars(args)
	if err != nil {
		return "", err
	}
	if strings.Contains(format, "*") && strings.Contains(format, "%") {
		return "", errors.New("has a printf with a * in its format: write numbers")
	}
	widest := 0
	for _, digits := range strings.FieldsFunc(format, func(r rune) bool { return r < '0' || r > '9' }) {
		n, err := strconv.Atoi(digits)
		if err != nil || n > maxWidth {
			return "", fmt.Errorf("has a printf with a number beyond %d in its format: use a smaller one", maxWidth)
		}
		widest = max(widest, n)
	}
	if err := b.text(len(format) + strings.Count(format, "%")*(escaped*longest+2*widest+64)); err != nil {
		return "", err
	}
	return fmt.Sprintf(format, plain...), nil
}

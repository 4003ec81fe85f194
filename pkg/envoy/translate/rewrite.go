// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// ReasonRedirectLoop is a redirect to the URL of the request itself.
const ReasonRedirectLoop = "RedirectLoop"

// replacement describes a change of a path: prefix replaces the matched prefix,
// expression whatever it matches.
type replacement struct {
	prefix     string
	expression *matcherv3.RegexMatchAndSubstitute
}

// replacementOf translates a change of a path. It returns false if a prefix has to be
// replaced and the match has none.
func replacementOf(p *gatewayv1.HTTPPathModifier, m match) (replacement, bool) {
	if p.Type == gatewayv1.FullPathHTTPPathModifier {
		full := "/"
		if p.ReplaceFullPath != nil {
			full = *p.ReplaceFullPath
		}
		return replacement{expression: substitute("^/.*$", absolute(full))}, true
	}
	if m.order.path != pathPrefix {
		return replacement{}, false
	}
	prefix := ""
	if p.ReplacePrefixMatch != nil {
		prefix = strings.TrimRight(*p.ReplacePrefixMatch, "/")
	}
	switch {
	case m.prefix == "":
		return replacement{prefix: absolute(prefix + "/")}, true
	case prefix == "":
		// Only the slash after the prefix remains, and the path may not have one.
		return replacement{expression: substitute("^"+regexp.QuoteMeta(m.prefix)+"/*", "/")}, true
	}
	return replacement{prefix: absolute(prefix)}, true
}

func absolute(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

func substitute(pattern, text string) *matcherv3.RegexMatchAndSubstitute {
	return &matcherv3.RegexMatchAndSubstitute{Pattern: expression(pattern), Substitution: strings.ReplaceAll(text, `\`, `\\`)}
}

// rewritePath changes the path of requests. It returns false if that is not possible.
func (r *rule) rewritePath(action *routev3.RouteAction, p *gatewayv1.HTTPPathModifier, m match) bool {
	change, ok := replacementOf(p, m)
	if !ok {
		r.noPrefix()
		return false
	}
	action.PrefixRewrite, action.RegexRewrite = change.prefix, change.expression
	return true
}

func (r *rule) noPrefix() {
	r.g.unsupported(r.from, r.field+".filters", string(gatewayv1.RouteReasonUnsupportedValue),
		"requests are answered with 500 if the path is not matched by a prefix: ReplacePrefixMatch requires a match of type PathPrefix: use one, or ReplaceFullPath")
}

var redirectCodes = map[int]routev3.RedirectAction_RedirectResponseCode{
	301: routev3.RedirectAction_MOVED_PERMANENTLY,
	302: routev3.RedirectAction_FOUND,
	303: routev3.RedirectAction_SEE_OTHER,
	307: routev3.RedirectAction_TEMPORARY_REDIRECT,
	308: routev3.RedirectAction_PERMANENT_REDIRECT,
}

// redirect responds to requests with another URL.
func (r *rule) redirect(envoy *routev3.Route, at place) {
	spec := r.filters.redirect
	action := &routev3.RedirectAction{ResponseCode: routev3.RedirectAction_FOUND}
	if spec.StatusCode != nil {
		if code, ok := redirectCodes[*spec.StatusCode]; ok {
			action.ResponseCode = code
		}
	}
	own := "http"
	if at.listener.terminates {
		own = "https"
	}
	scheme := own
	if spec.Scheme != nil {
		scheme = *spec.Scheme
		action.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: scheme}
	}
	// Without a port, it is the scheme's, or the listener's if there is no scheme.
	port := at.listener.spec.Port
	switch {
	case spec.Port != nil:
		port = *spec.Port
	case spec.Scheme != nil:
		port = map[string]gatewayv1.PortNumber{"http": 80, "https": 443}[scheme]
	}
	// Clients know the default ports of the schemes.
	if usual := scheme == "http" && port == 80 || scheme == "https" && port == 443; !usual {
		action.PortRedirect = uint32(port)
	}
	switch {
	case spec.Hostname != nil:
		action.HostRedirect = string(*spec.Hostname)
	case action.PortRedirect == 0 && !strings.HasPrefix(at.host, anyHost):
		// The redirect must not use the port in the request.
		action.HostRedirect = at.host
	}
	if spec.Path != nil {
		change, ok := replacementOf(spec.Path, at.match)
		if !ok {
			r.noPrefix()
			envoy.Action = respond(500)
			return
		}
		if change.expression != nil {
			action.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{RegexRewrite: change.expression}
		} else {
			action.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: change.prefix}
		}
	}
	if spec.Path == nil && scheme == own && port == at.listener.spec.Port && (spec.Hostname == nil || string(*spec.Hostname) == at.host) {
		// It may be intended: a 303 makes a client repeat a POST as a GET.
		r.g.problems.add(r.from.source, r.field+".filters", ReasonRedirectLoop,
			"the redirect leads requests for %s to the same URL, so clients stop after several redirects: change the scheme, hostname, port or path", at.host)
	}
	envoy.Action = &routev3.Route_Redirect{Redirect: action}
}

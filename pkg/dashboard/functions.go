// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"fmt"
	"html/template"
	"net/url"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/acnodal/epic/pkg/overview"
)

// functions holds the functions of the templates.
var functions = template.FuncMap{
	"word":      stateWord,
	"verdict":   verdictState,
	"kind":      kindWord,
	"title":     title,
	"subtitle":  subtitle,
	"since":     since,
	"stamp":     func(t metav1.Time) string { return t.UTC().Format(time.RFC3339) },
	"clock":     func(t time.Time) string { return t.Local().Format("15:04:05") },
	"faultPath": faultPath,
	"proxyPath": func(p *overview.Proxy) string { return proxyPath(p.Namespace, p.Kind, p.Name) },
	"nodePath":  func(address string) string { return "nodes/" + url.PathEscape(address) },
	"many":      many,
	"rate":      rate,
	"bytes":     bytesRate,
	"trip":      trip,
	"condition": conditionState,
	"args":      args,
	"zero":      func(t metav1.Time) bool { return t.IsZero() },
	"join":      strings.Join,
	"int":       func(n int32) int { return int(n) },
}

// stateWord returns the name of a state.
func stateWord(s overview.State) string {
	switch s {
	case overview.Bad:
		return "Failing"
	case overview.Warning:
		return "Needs a look"
	case overview.Good:
		return "OK"
	case overview.Unknown:
	}
	return "Unknown"
}

func verdictState(c overview.Check) overview.State {
	switch {
	case c.Unknown:
		return overview.Unknown
	case c.Verdict == overview.Fail:
		return overview.Bad
	case c.Verdict == overview.Warn:
		return overview.Warning
	}
	return overview.Good
}

// kindWord returns the name of a kind.
func kindWord(kind string) string {
	switch kind {
	case "LoadBalancer":
		return "Load balancer"
	case "GWProxy":
		return "Gateway proxy"
	}
	return kind
}

// since formats how long ago a time was.
func since(now, t metav1.Time) string {
	if t.IsZero() {
		return ""
	}
	return duration.HumanDuration(max(0, now.Sub(t.Time)))
}

// proxyPath returns the path of a proxy's page below the base.
func proxyPath(namespace, kind, name string) string {
	return "accounts/" + url.PathEscape(namespace) + "/" + strings.ToLower(kind) + "/" + url.PathEscape(name)
}

// faultPath returns the path of the page that shows a fault's object, or "".
func faultPath(f overview.Fault) string {
	switch f.Kind {
	case "LoadBalancer", "GWProxy":
		return proxyPath(f.Namespace, f.Kind, f.Name)
	case "RemoteEndpoint":
		if f.Proxy != "" {
			return proxyPath(f.Namespace, "LoadBalancer", f.Proxy)
		}
	case "GWRoute":
		if f.Proxy != "" {
			return proxyPath(f.Namespace, "GWProxy", f.Proxy)
		}
	case "GatewayNode":
		return "nodes/" + url.PathEscape(f.Name)
	case "ServicePrefix":
		return "addresses"
	}
	if strings.HasPrefix(f.Namespace, "epic-") {
		return "accounts/" + url.PathEscape(f.Namespace)
	}
	return ""
}

// many returns a number with its noun.
func many(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// rate formats a number per second.
func rate(perSecond float64) string {
	switch {
	case perSecond >= 100:
		return fmt.Sprintf("%.0f", perSecond)
	case perSecond >= 1:
		return fmt.Sprintf("%.1f", perSecond)
	case perSecond > 0:
		return fmt.Sprintf("%.2f", perSecond)
	}
	return "0"
}

// bytesRate formats bytes per second, in decimal units.
func bytesRate(perSecond float64) string {
	units := []string{"B/s", "kB/s", "MB/s", "GB/s", "TB/s"}
	i := 0
	for ; perSecond >= 1000 && i < len(units)-1; i++ {
		perSecond /= 1000
	}
	return rate(perSecond) + " " + units[i]
}

// trip formats a round-trip time.
func trip(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// conditionState returns the state that one condition shows.
func conditionState(c metav1.Condition) overview.State {
	return overview.StateOfCondition(&c)
}

// args returns the arguments of a partial template: pairs of names and values.
func args(pairs ...any) (map[string]any, error) {
	out := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("%v is not a name", pairs[i])
		}
		out[name] = pairs[i+1]
	}
	return out, nil
}

// uid matches the UID of a Kubernetes object.
var uid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// title returns what a person calls a proxy: its name, or its display name if its name is the UID of
// an object in a client cluster.
func title(name, displayName string) string {
	if displayName != "" && uid.MatchString(name) {
		return displayName
	}
	return name
}

// subtitle returns the other name of a proxy, or "" if it has only one.
func subtitle(name, displayName string) string {
	switch {
	case displayName == "" || displayName == name:
		return ""
	case title(name, displayName) == name:
		return displayName
	}
	return name
}

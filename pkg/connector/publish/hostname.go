// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// matchesHost reports whether a matches every name that b matches. Either may begin with
// a wildcard label, and an empty one matches all names. A wildcard matches one or more
// labels, never zero.
func matchesHost(a, b string) bool {
	switch {
	case a == "" || a == b:
		return true
	case b == "":
		return false
	}
	suffix, wildcard := strings.CutPrefix(a, "*")
	return wildcard && len(b) > len(suffix) && strings.HasSuffix(b, suffix)
}

// hostsMeet reports whether a name exists that both match.
func hostsMeet(a, b string) bool { return matchesHost(a, b) || matchesHost(b, a) }

// meet returns the narrower one of two hostnames that meet.
func meet(a, b string) string {
	if matchesHost(a, b) {
		return b
	}
	return a
}

// hostnamesAt returns the names for which a route gets requests at a listener, and false
// if there is none. A route without hostnames uses the listener's.
func hostnamesAt(listener string, route []gatewayv1.Hostname) ([]string, bool) {
	if len(route) == 0 {
		return []string{listener}, true
	}
	var names []string
	for _, h := range route {
		if name := strings.ToLower(string(h)); hostsMeet(listener, name) {
			names = append(names, meet(listener, name))
		}
	}
	return names, len(names) > 0
}

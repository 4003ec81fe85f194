// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"maps"
	"net/http"
)

// identities are what somebody would like to be, as header fields without the
// prefix that describes how the name is claimed.
var identities = map[string]map[string]string{
	"an administrator":  {"User": "system:admin", "Group": "system:masters"},
	"a gateway node":    {"User": "epic:node:192.168.1.40", "Group": "epic:nodes"},
	"the controller":    {"User": "system:serviceaccount:epic-system:epic-controller", "Group": "system:serviceaccounts"},
	"the API server":    {"User": "system:serviceaccount:epic-system:epic-apiserver", "Group": "system:serviceaccounts"},
	"the node program":  {"User": "system:serviceaccount:epic-node:epic-node", "Extra-authentication.kubernetes.io%2fnode-name": "node1"},
	"the victim's node": {"User": "system:serviceaccount:VICTIM:node.192.168.1.16", "Group": "system:serviceaccounts:VICTIM"},
}

// claims are the header fields that claim an identity.
func claims(prefix string, identity map[string]string) map[string]string {
	out := map[string]string{}
	for key, value := range identity {
		out[prefix+key] = value
	}
	return out
}

// pretended are requests that only somebody else may make, under that one's name.
func pretended(prefix string, code int) []attempt {
	var out []attempt
	for name, identity := range identities {
		header := claims(prefix, identity)
		out = append(out,
			attempt{goal: "the victim's load balancers as " + name, method: http.MethodGet, path: "VICTIM/loadbalancers", header: header, code: code},
			attempt{goal: "the victim's keys as " + name, method: http.MethodGet, path: "VICTIM/loadbalancers/busy/tunnelkeys", header: header, code: code},
			attempt{goal: "a status as " + name, method: http.MethodPatch, path: "VICTIM/gwproxies/proxy/status", form: "merge", body: `{"status":{"proxy-if-info":null}}`, header: header, code: code},
			attempt{goal: "a pool as " + name, method: http.MethodDelete, path: "EPIC/serviceprefixes/e2e", header: header, code: code},
		)
	}
	return out
}

// frontProxyAttempts are those of somebody who reaches EPIC's server itself, without
// credentials, and says in a front proxy's headers who it is.
func frontProxyAttempts() []attempt {
	return append(pretended("X-Remote-", http.StatusForbidden), append(
		// It may not impersonate users either.
		pretended("Impersonate-", http.StatusForbidden),
		// Health is for everybody, and has no reasons in it.
		attempt{goal: "reasons for bad health", method: http.MethodGet, path: "/readyz?verbose", code: http.StatusOK, lacks: "failed: [^r]"},
		attempt{goal: "metrics", method: http.MethodGet, path: "/metrics", code: http.StatusForbidden},
		attempt{goal: "profiles", method: http.MethodGet, path: "/debug/pprof/heap", code: http.StatusForbidden},
		attempt{goal: "flags", method: http.MethodGet, path: "/debug/flags/v", code: http.StatusForbidden},
	)...)
}

// tenantDirectAttempts are those of a tenant who takes its token past the
// kube-apiserver, where no front proxy removes its headers.
func tenantDirectAttempts() []attempt {
	return append(pretended("X-Remote-", http.StatusForbidden),
		attempt{goal: "metrics", method: http.MethodGet, path: "/metrics", code: http.StatusForbidden},
		attempt{goal: "the audit", method: http.MethodGet, path: "EPIC/epics/epic/audit", code: http.StatusForbidden},
	)
}

// impersonatorAttempts are those of somebody who may impersonate the service
// accounts of its own namespace, and nobody else.
func impersonatorAttempts() []attempt {
	own := map[string]string{"Impersonate-User": "system:serviceaccount:OWN:mallory"}
	with := func(key, value string) map[string]string {
		header := maps.Clone(own)
		header[key] = value
		return header
	}
	const denied = http.StatusForbidden
	return append(pretended("Impersonate-", denied),
		attempt{goal: "the victim's objects as one it may be", method: http.MethodGet, path: "VICTIM/loadbalancers", header: own, code: denied},
		attempt{goal: "a group of administrators", method: http.MethodGet, path: "OWN/loadbalancers", header: with("Impersonate-Group", "system:masters"), code: denied},
		attempt{goal: "the group of nodes", method: http.MethodGet, path: plain + "/tunnelkeys", header: with("Impersonate-Group", "epic:nodes"), code: denied},
		attempt{goal: "a node's claim", method: http.MethodGet, path: plain + "/tunnelkeys", header: with("Impersonate-Extra-authentication.kubernetes.io%2fnode-name", "node1"), code: denied},
		attempt{goal: "a pod's claim", method: http.MethodGet, path: plain + "/tunnelkeys", header: with("Impersonate-Extra-authentication.kubernetes.io%2fpod-name", "epic-node"), code: denied},
		attempt{goal: "another UID", method: http.MethodGet, path: "OWN/loadbalancers", header: with("Impersonate-Uid", "1"), code: denied},
		attempt{goal: "keys as one it may be", method: http.MethodGet, path: plain + "/tunnelkeys", header: own, code: denied},
	)
}

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"strings"
)

// The objects of the battlefield, of which OWN has what VICTIM has: load balancers
// plain and busy, an endpoint, a proxy, a route and a slice, and a group web.
const (
	plain    = "OWN/loadbalancers/plain"
	proxyOwn = "OWN/gwproxies/proxy"
)

// create is the body of an object.
func create(kind, name, more string) string {
	return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q},%s}`, group.String(), kind, name, more)
}

// tenantAttempts are those of somebody with every right of a tenant in its own
// namespace.
func tenantAttempts() []attempt {
	post := func(goal, resource, body string, code int, says string) attempt {
		return attempt{goal: goal, method: http.MethodPost, path: "OWN/" + resource, body: body, code: code, says: says}
	}
	patch := func(goal, path, form, body string, code int, says string) attempt {
		return attempt{goal: goal, method: http.MethodPatch, path: path, form: form, body: body, code: code, says: says}
	}
	const (
		ok      = http.StatusOK
		invalid = http.StatusUnprocessableEntity
		denied  = http.StatusForbidden
		bad     = http.StatusBadRequest
	)
	lb := func(spec string) string {
		return create("LoadBalancer", "evil", `"spec":{"service-group":"web","public-ports":[{"port":80}],`+spec+`}`)
	}
	gwp := func(spec string) string {
		return fmt.Sprintf(`{"apiVersion":%q,"kind":"GWProxy","metadata":{"name":"evil","labels":{"epic.acnodal.io/owning-lbservicegroup":"web"}},"spec":{%s}}`, group.String(), spec)
	}
	attempts := []attempt{
		// Addresses.
		post("an address of another's pool", "loadbalancers", lb(`"public-address":"10.210.0.7"`), invalid, "public-address"),
		post("an address of no pool", "loadbalancers", lb(`"public-address":"10.96.0.1"`), invalid, "public-address"),
		post("an IPv6 address of no pool", "loadbalancers", lb(`"public-address":"2001:db8::1"`), invalid, "public-address"),
		post("an IPv4 address written as IPv6", "loadbalancers", lb(`"public-address":"::ffff:10.210.0.7"`), invalid, "public-address"),
		post("the victim's address", "loadbalancers", lb(`"public-address":"10.200.77.77"`), invalid, "public-address"),
		post("a second address of another's pool", "gwproxies", gwp(`"alt-address":"10.210.0.7"`), invalid, "alt-address"),
		post("a second address of no pool", "gwproxies", gwp(`"alt-address":"10.96.0.1"`), invalid, "alt-address"),
		patch("another address by update", plain, "merge", `{"spec":{"public-address":"10.210.0.7"}}`, invalid, "public-address"),
		patch("a second address by merge patch", proxyOwn, "merge", `{"spec":{"alt-address":"10.210.0.7"}}`, invalid, "alt-address"),
		patch("a second address by JSON patch", proxyOwn, "json", `[{"op":"add","path":"/spec/alt-address","value":"10.96.0.1"}]`, invalid, "alt-address"),
		patch("a second address by strategic patch", proxyOwn, "strategic", `{"spec":{"alt-address":"10.96.0.1"}}`, invalid, "alt-address"),
		{goal: "a second address by apply", method: http.MethodPatch, path: proxyOwn + "?fieldManager=evil&force=true", form: "apply",
			body: create("GWProxy", "proxy", `"spec":{"alt-address":"10.210.0.7"}`), code: invalid, says: "alt-address"},
		patch("a second address by writing the status", proxyOwn+"/status", "merge", `{"spec":{"alt-address":"10.210.0.7"}}`, denied, "cannot patch"),
		// DNS.
		{goal: "a DNS name of its choice", method: http.MethodPost, path: "OWN/loadbalancers", code: http.StatusCreated, lacks: `"dnsName":"www\.victim\.example"|"targets":\["10\.200\.77\.77"`,
			body: lb(`"endpoints":[{"dnsName":"www.victim.example","targets":["10.200.77.77"]}]`)},
		{goal: "a service ID of its choice, which is the victim's too", method: http.MethodPost, path: "OWN/loadbalancers", code: http.StatusCreated, body: lb(`"service-id":1`), lacks: `"service-id":1[,}]`},
		{goal: "another prefix by creation", method: http.MethodPost, path: "OWN/loadbalancers", code: http.StatusCreated, lacks: `"epic.acnodal.io/owning-serviceprefix":"victims"`,
			body: fmt.Sprintf(`{"apiVersion":%q,"kind":"LoadBalancer","metadata":{"name":"evil","labels":{"epic.acnodal.io/owning-serviceprefix":"victims"}},"spec":{"service-group":"web"}}`, group)},
		patch("a DNS name of its choice by update", plain, "merge", `{"spec":{"endpoints":[{"dnsName":"www.victim.example","targets":["10.200.77.77"]}]}}`, invalid, "endpoints"),
		patch("the victim's DNS target", plain, "json", `[{"op":"replace","path":"/spec/endpoints/0/targets","value":["10.200.77.77"]}]`, ok, ""),
		// Owners.
		post("another's account", "loadbalancers", fmt.Sprintf(`{"apiVersion":%q,"kind":"LoadBalancer","metadata":{"name":"evil","labels":{"epic.acnodal.io/owning-account":"victim"}},"spec":{"service-group":"web"}}`, group), invalid, "owning-account"),
		post("another's group", "loadbalancers", create("LoadBalancer", "evil", `"spec":{"service-group":"hidden"}`), invalid, "service-group"),
		post("another's group by namespace", "gwproxies", fmt.Sprintf(`{"apiVersion":%q,"kind":"GWProxy","metadata":{"name":"evil","labels":{"epic.acnodal.io/owning-lbservicegroup":"hidden","epic.acnodal.io/owning-lbservicegroup-namespace":"VICTIM"}},"spec":{}}`, group), invalid, "owning-lbservicegroup"),
		post("another's load balancer", "remoteendpoints", fmt.Sprintf(`{"apiVersion":%q,"kind":"RemoteEndpoint","metadata":{"name":"evil","labels":{"epic.acnodal.io/owning-loadbalancer":"secret"}},"spec":{"cluster":"acnodal-a","address":"10.1.2.9","port":{"port":80}}}`, group), invalid, "owning-loadbalancer"),
		post("another's namespace in the body", "loadbalancers", fmt.Sprintf(`{"apiVersion":%q,"kind":"LoadBalancer","metadata":{"name":"evil","namespace":"VICTIM"},"spec":{"service-group":"web"}}`, group), bad, "namespace"),
		patch("another account by update", plain, "merge", `{"metadata":{"labels":{"epic.acnodal.io/owning-account":"victim"}}}`, invalid, "owning-account"),
		patch("another prefix by update", plain, "merge", `{"metadata":{"labels":{"epic.acnodal.io/owning-serviceprefix":"victims"}}}`, invalid, "owning-serviceprefix"),
		patch("another group's namespace by update", plain, "merge", `{"metadata":{"labels":{"epic.acnodal.io/owning-lbservicegroup-namespace":"VICTIM"}}}`, invalid, "owning-lbservicegroup-namespace"),
		patch("an endpoint for another load balancer", "OWN/remoteendpoints/endpoint", "merge", `{"metadata":{"labels":{"epic.acnodal.io/owning-loadbalancer":"plain"}}}`, invalid, "owning-loadbalancer"),
		patch("an endpoint that outlives its load balancer", "OWN/remoteendpoints/endpoint", "merge", `{"metadata":{"ownerReferences":null}}`, ok, ""),
		// IDs.
		patch("a service ID", plain, "merge", `{"spec":{"service-id":4711}}`, invalid, "service-id"),
		patch("tunnels through the published copy", plain, "merge", `{"spec":{"gue-tunnel-endpoints":{"192.168.1.16":{"epic-endpoints":{"192.168.1.40":{"tunnel-id":77}}}}}}`, ok, ""),
		patch("an interface through the published copy", proxyOwn, "merge", `{"spec":{"proxy-if-info":{"evil":{"epic-node-address":"192.168.1.40","index":7,"name":"veth7"}}}}`, ok, ""),
		patch("a quota slot with the object", plain, "merge", `{"status":{"quota-place":1}}`, ok, ""),
		{goal: "tunnels with a new object", method: http.MethodPut, path: "OWN/loadbalancers/plain", code: http.StatusConflict,
			body: `{"apiVersion":"epic.acnodal.io/v1","kind":"LoadBalancer","metadata":{"name":"plain","resourceVersion":"1"},"spec":{"service-group":"web"},"status":{"proxy-ifindex":3}}`},
		patch("a status by apply", plain+"/status?fieldManager=evil&force=true", "apply", create("LoadBalancer", "plain", `"status":{"proxy-ifindex":3}`), denied, "cannot patch"),
		// Finalizers and owner references.
		patch("a finalizer of the system's", plain, "merge", `{"metadata":{"finalizers":["epic.acnodal.io/controller"]}}`, denied, "finalizers"),
		patch("a published agent's finalizer", proxyOwn, "merge", `{"metadata":{"finalizers":["node1.gwp.node-agent.epic.acnodal.io"]}}`, denied, "finalizers"),
		{goal: "a finalizer of the system's in a new slice", method: http.MethodPost, path: "OWN/gwendpointslices", code: http.StatusCreated, lacks: `"finalizers":\["epic.acnodal.io/controller"`,
			body: fmt.Sprintf(`{"apiVersion":%q,"kind":"GWEndpointSlice","metadata":{"name":"evil","finalizers":["epic.acnodal.io/controller"]},"spec":{"addressType":"IPv4","nodeAddresses":{},"endpoints":[]}}`, group)},
		// What the platform decides.
		post("an Envoy template of its own", "loadbalancers", lb(`"envoy-template":{"nodeID":"x","envoyResources":{"listeners":[{"name":"admin","value":"{}"}]}}`), denied, "envoy-template|envoytemplate"),
		patch("an Envoy template by update", plain, "merge", `{"spec":{"envoy-template":{"nodeID":"x","envoyResources":{"clusters":[{"name":"a","value":"{}"}]}}}}`, denied, "envoy-template|envoytemplate"),
		post("another namespace's Secret", "gwproxies", gwp(`"envoy-template":{"nodeID":"x","envoyResources":{"secrets":[{"name":"a","ref":{"name":"tls","namespace":"VICTIM"}}]}}`), invalid, "[Ss]ecret"),
		post("a hundred proxies for one load balancer", "loadbalancers", lb(`"envoy-replica-count":100`), denied, "replica"),
		patch("a hundred proxies by update", plain, "merge", `{"spec":{"envoy-replica-count":100}}`, denied, "replica"),
		post("a group of its own", "lbservicegroups", create("LBServiceGroup", "evil", `"spec":{}`), denied, "cannot create"),
		patch("a larger quota", "OWN/accounts/ACCOUNT", "merge", `{"spec":{"proxyLimit":1000000}}`, denied, "cannot patch"),
		patch("another group template", "OWN/lbservicegroups/web", "merge", `{"spec":{"envoy-replica-count":100}}`, denied, "cannot patch"),
		post("a second account in its namespace", "accounts", create("Account", "victim", `"spec":{}`), denied, "cannot create"),
		{goal: "the end of its account", method: http.MethodDelete, path: "OWN/accounts/ACCOUNT", code: denied},
		{goal: "a pool of its own", method: http.MethodPost, path: "EPIC/serviceprefixes", body: create("ServicePrefix", "evil", `"spec":{"public-pool":{"pool":"10.0.0.0/8","subnet":"10.0.0.0/8","aggregation":"default"}}`), code: denied},
		patch("the platform's settings", "EPIC/epics/epic", "merge", `{"spec":{"envoy-image":"evil"}}`, denied, "cannot patch"),
		// Endpoints inside the gateway cluster.
		endpoint("loopback", "127.0.0.1"), endpoint("IPv6 loopback", "::1"), endpoint("IPv4 loopback as IPv6", "::ffff:127.0.0.1"),
		endpoint("a cloud's metadata", "169.254.169.254"), endpoint("a Service of the gateway cluster", "SERVICE"),
		endpoint("a gateway node", "NODE"), endpoint("a pod of the gateway cluster", "POD"), endpoint("any address", "0.0.0.0"),
		endpoint("multicast", "224.0.0.1"), endpoint("link-local", "fe80::1"),
		// Keys and audits.
		{goal: "its tunnels' keys", method: http.MethodGet, path: plain + "/tunnelkeys", code: denied},
		{goal: "its proxy's tunnels' keys", method: http.MethodGet, path: proxyOwn + "/tunnelkeys", code: denied},
		{goal: "the victim's tunnels' keys", method: http.MethodGet, path: "VICTIM/loadbalancers/busy/tunnelkeys", code: denied},
		{goal: "the audit of all accounts", method: http.MethodGet, path: "EPIC/epics/epic/audit", code: denied},
		// Other namespaces by other paths.
		{goal: "all load balancers by a field selector", method: http.MethodGet, path: "ALL/loadbalancers?fieldSelector=metadata.namespace%3DVICTIM", code: denied},
		{goal: "all load balancers by a label selector", method: http.MethodGet, path: "ALL/loadbalancers?labelSelector=epic.acnodal.io%2Fowning-account%3Dvictim", code: denied},
		{goal: "a watch of all endpoints", method: http.MethodGet, path: "ALL/remoteendpoints?watch=1&timeoutSeconds=1", code: denied},
		{goal: "another's object by an encoded path", method: http.MethodGet, path: "OWN/loadbalancers/..%2F..%2FVICTIM%2Floadbalancers%2Fplain", code: denied},
		{goal: "the end of all load balancers of another", method: http.MethodDelete, path: "VICTIM/loadbalancers", code: denied},
		// Cost.
		post("gigabytes by nested repetition", "gwroutes", create("GWRoute", "evil", `"spec":{"http":{"parentRefs":[{"name":"proxy"}],"rules":[{"matches":[{"headers":[{"type":"RegularExpression","name":"h","value":"(`+strings.Repeat("[ab]", 1000)+`){1000}"}]}]}]}}`), invalid, "headers"),
		post("an exponential expression", "gwroutes", create("GWRoute", "evil", `"spec":{"http":{"parentRefs":[{"name":"proxy"}],"rules":[{"matches":[{"path":{"type":"RegularExpression","value":"/((((a{30}){30}){30}){30})"}}]}]}}`), invalid, "path"),
		post("a deeply nested expression", "gwroutes", create("GWRoute", "evil", `"spec":{"http":{"parentRefs":[{"name":"proxy"}],"rules":[{"matches":[{"path":{"type":"RegularExpression","value":"/`+strings.Repeat("(", 900)+strings.Repeat(")", 900)+`"}}]}]}}`), invalid, "path"),
		post("an object of megabytes", "gwendpointslices", create("GWEndpointSlice", "evil", `"spec":{"addressType":"IPv4","nodeAddresses":{},"endpoints":[`+strings.TrimSuffix(strings.Repeat(`{"addresses":["10.1.1.1"]},`, 60000), ",")+`]}`), http.StatusRequestEntityTooLarge, ""),
		{goal: "megabytes by copying within a JSON patch", method: http.MethodPatch, path: "OWN/gwroutes/route", form: "json", body: amplify(20), code: invalid},
		{goal: "a YAML bomb", method: http.MethodPost, path: "OWN/gwroutes", form: "yaml", body: yamlBomb(), code: http.StatusRequestEntityTooLarge, says: "contains a reference"},
	}
	return attempts
}

// endpoint is an attempt to reach an address from a proxy without a tunnel.
func endpoint(what, address string) attempt {
	return attempt{
		goal: "requests to " + what, method: http.MethodPost, path: "OWN/remoteendpoints", code: http.StatusUnprocessableEntity, says: "spec.address",
		body: fmt.Sprintf(`{"apiVersion":%q,"kind":"RemoteEndpoint","metadata":{"name":"evil","labels":{"epic.acnodal.io/owning-loadbalancer":"busy"}},"spec":{"cluster":"acnodal-a","address":%q,"port":{"port":80}}}`, group, address),
	}
}

// amplify doubles an annotation n times.
func amplify(n int) string {
	ops := []string{`{"op":"add","path":"/metadata/annotations","value":{"a":"` + strings.Repeat("x", 1000) + `"}}`}
	for i := range n {
		ops = append(ops, fmt.Sprintf(`{"op":"copy","from":"/metadata","path":"/metadata/annotations/c%d"}`, i))
	}
	return "[" + strings.Join(ops, ",") + "]"
}

// yamlBomb expands to a billion items.
func yamlBomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	return b.String() + "apiVersion: " + group.String() + "\nkind: GWRoute\nmetadata: {name: evil}\n"
}

// viewerAttempts are the attempts of a user with read access to a tenant's objects.
func viewerAttempts() []attempt {
	const denied = http.StatusForbidden
	var out []attempt
	for _, object := range []string{"loadbalancers/plain", "remoteendpoints/endpoint", "gwproxies/proxy", "gwroutes/route", "gwendpointslices/slice"} {
		resource, _, _ := strings.Cut(object, "/")
		out = append(out,
			attempt{goal: "a label on " + object, method: http.MethodPatch, path: "OWN/" + object, form: "merge", body: `{"metadata":{"labels":{"a":"b"}}}`, code: denied},
			attempt{goal: "the end of " + object, method: http.MethodDelete, path: "OWN/" + object, code: denied},
			attempt{goal: "a dry run of the end of " + object, method: http.MethodDelete, path: "OWN/" + object + "?dryRun=All", code: denied},
			attempt{goal: "the end of all " + resource, method: http.MethodDelete, path: "OWN/" + resource, code: denied},
			attempt{goal: "an own object by apply: " + resource, method: http.MethodPatch, path: "OWN/" + resource + "/evil?fieldManager=evil", form: "apply", body: "{}", code: denied},
			attempt{goal: "the status of " + object, method: http.MethodPatch, path: "OWN/" + object + "/status", form: "merge", body: `{"status":{}}`, code: denied},
		)
	}
	return append(out,
		attempt{goal: "the keys of tunnels", method: http.MethodGet, path: plain + "/tunnelkeys", code: denied},
		attempt{goal: "the account's limit", method: http.MethodPatch, path: "OWN/accounts/ACCOUNT", form: "merge", body: `{"spec":{"proxyLimit":9}}`, code: denied},
		attempt{goal: "the account's status", method: http.MethodPatch, path: "OWN/accounts/ACCOUNT/status", form: "merge", body: `{"status":{}}`, code: denied},
		attempt{goal: "the group's status", method: http.MethodPatch, path: "OWN/lbservicegroups/web/status", form: "merge", body: `{"status":{}}`, code: denied},
		attempt{goal: "the platform's settings", method: http.MethodGet, path: "EPIC/epics/epic", code: denied},
		attempt{goal: "the platform's pools", method: http.MethodGet, path: "EPIC/serviceprefixes", code: denied},
		attempt{goal: "the state of a pool", method: http.MethodGet, path: "EPIC/serviceprefixes/e2e/status", code: denied},
		attempt{goal: "the state of the platform", method: http.MethodGet, path: "EPIC/epics/epic/status", code: denied},
	)
}

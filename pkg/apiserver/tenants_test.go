// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
)

// tenancy is an aggregated server with one account and a group, on which a
// tenant and the platform team write.
type tenancy struct {
	*aggregated
	proxy *http.Client
}

const (
	groupTemplate = `{"nodeID":"x","envoyResources":{"listeners":[{"name":"l","value":"a: {{.Port}}"}]}}`
	ownTemplate   = `{"nodeID":"x","envoyResources":{"listeners":[{"name":"l","value":"b: {{.Port}}"}]}}`
)

// startTenancy starts the server. The tenant may write all kinds, and nothing of
// subresources that go beyond a tenant's role.
func startTenancy(t *testing.T) *tenancy {
	t.Helper()
	a, err := startAggregated(t, func(k *kube) {
		k.denied["update loadbalancers/envoytemplate"] = true
		k.denied["update gwproxies/envoytemplate"] = true
	})
	if err != nil {
		t.Fatal(err)
	}
	a.waitReadyz(t, "readyz check passed", true)
	s := &tenancy{aggregated: a, proxy: a.frontProxy(t)}
	for _, o := range []struct{ namespace, resource, body string }{
		{"epic", "epics", `{"kind":"EPIC","metadata":{"name":"epic"},"spec":{"service-cidr":"10.96.0.0/12,fd00:10:96::/112","denied-endpoint-cidrs":["172.30.0.0/16"]}}`},
		{"epic", "serviceprefixes", `{"kind":"ServicePrefix","metadata":{"name":"pool"},"spec":{"public-pool":{"pool":"198.51.100.8-198.51.100.99","subnet":"198.51.100.0/24","aggregation":"default"}}}`},
		{"epic-one", "accounts", `{"kind":"Account","metadata":{"name":"one"}}`},
		{"epic-one", "lbservicegroups", `{"kind":"LBServiceGroup","metadata":{"name":"plain","labels":{"epic.acnodal.io/owning-serviceprefix":"pool"}}}`},
		{"epic-one", "lbservicegroups", `{"kind":"LBServiceGroup","metadata":{"name":"group","labels":{"epic.acnodal.io/owning-serviceprefix":"pool"}},"spec":{"envoy-replica-count":2,"envoy-template":` + groupTemplate + `}}`},
	} {
		s.expect(t, "admin", http.MethodPost, o.namespace, o.resource, o.body, http.StatusCreated, "")
	}
	return s
}

// expect sends a request and wants a code and a part of the answer. Only the
// admin is in the group that may do everything.
func (s *tenancy) expect(t *testing.T, who, method, namespace, path, body string, code int, text string) string {
	t.Helper()
	if method == http.MethodPost {
		body = strings.Replace(body, "{", `{"apiVersion":"epic.acnodal.io/v1",`, 1)
	}
	r := as("alice", method, s.url+"/apis/epic.acnodal.io/v1/namespaces/"+namespace+"/"+path, body)
	switch {
	case who == "admin":
		r.Header.Set("X-Remote-User", "root")
		r.Header.Set("X-Remote-Group", user.SystemPrivilegedGroup)
	case strings.Contains(path, "fieldManager="):
		r.Header.Set("Content-Type", "application/apply-patch+yaml")
	}
	if method == http.MethodPatch && r.Header.Get("Content-Type") == "application/json" {
		r.Header.Set("Content-Type", "application/merge-patch+json")
		if strings.HasPrefix(body, "[") {
			r.Header.Set("Content-Type", "application/json-patch+json")
		}
	}
	response, err := s.proxy.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != code || !strings.Contains(string(answer), text) {
		t.Errorf("%s %s %s by %s: %d, want %d with %q:\n%s\n%s", method, namespace, path, who, response.StatusCode, code, text, body, answer)
	}
	return string(answer)
}

// A tenant has its group's template and at most its group's replicas, by
// whichever request.
func TestGroupBoundsItsProxies(t *testing.T) {
	t.Parallel()
	s := startTenancy(t)
	for resource, kind := range map[string]string{"loadbalancers": "LoadBalancer", "gwproxies": "GWProxy"} {
		object := func(name, spec string) string {
			return fmt.Sprintf(`{"kind":%q,"metadata":{"name":%q,"labels":{"epic.acnodal.io/owning-lbservicegroup":"group"}},"spec":{%s}}`, kind, name, spec)
		}
		refusedTemplate, refusedCount := "spec.envoy-template: Forbidden", "spec.envoy-replica-count: Forbidden: it is more than the limit of 2 in group group"
		create := func(name, spec string, code int, text string) string {
			t.Helper()
			for _, query := range []string{"?dryRun=All", ""} {
				text := s.expect(t, "alice", http.MethodPost, "epic-one", resource+query, object(name, spec), code, text)
				if query == "" {
					return text
				}
			}
			return ""
		}
		create("a1", `"envoy-template":`+ownTemplate, http.StatusForbidden, refusedTemplate)
		create("a2", `"envoy-replica-count":3`, http.StatusForbidden, refusedCount)
		create("a3", `"envoy-replica-count":100`, http.StatusForbidden, "use at most the group's number")
		create("a4", `"envoy-replica-count":1`, http.StatusCreated, `"envoy-replica-count":1`)
		// The exported object has the group's template in it.
		created := create("web", "", http.StatusCreated, `a: {{.Port}}`)
		create("again", `"envoy-replica-count":2,"envoy-template":`+groupTemplate, http.StatusCreated, "")

		at := resource + "/web"
		for _, query := range []string{"?dryRun=All", ""} {
			for patch, text := range map[string]string{
				`{"spec":{"envoy-template":` + ownTemplate + `}}`:                                                  refusedTemplate,
				`{"spec":{"envoy-replica-count":3}}`:                                                               refusedCount,
				`[{"op":"replace","path":"/spec/envoy-template/envoyResources/listeners/0/value","value":"b: c"}]`: refusedTemplate,
				`[{"op":"replace","path":"/spec/envoy-replica-count","value":9}]`:                                  refusedCount,
			} {
				s.expect(t, "alice", http.MethodPatch, "epic-one", at+query, patch, http.StatusForbidden, text)
			}
		}
		s.expect(t, "alice", http.MethodPatch, "epic-one", at+"?fieldManager=x&force=true",
			fmt.Sprintf(`{"apiVersion":"epic.acnodal.io/v1","kind":%q,"metadata":{"name":"web"},"spec":{"envoy-template":%s}}`, kind, ownTemplate), http.StatusForbidden, refusedTemplate)
		put := func(change func(spec map[string]any), code int, text string) {
			t.Helper()
			var o map[string]any
			if err := json.Unmarshal([]byte(created), &o); err != nil {
				t.Fatal(err)
			}
			delete(o["metadata"].(map[string]any), "resourceVersion")
			change(o["spec"].(map[string]any))
			body, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			s.expect(t, "alice", http.MethodPut, "epic-one", at, string(body), code, text)
		}
		put(func(spec map[string]any) { spec["envoy-replica-count"] = 3 }, http.StatusForbidden, refusedCount)
		put(func(spec map[string]any) { spec["envoy-template"].(map[string]any)["nodeID"] = "y" }, http.StatusForbidden, refusedTemplate)
		put(func(spec map[string]any) { spec["envoy-replica-count"] = 1 }, http.StatusOK, "")
		put(func(spec map[string]any) { spec["display-name"] = "shop" }, http.StatusOK, "shop")

		// A user who has the permission gives one to the proxy, which then keeps it.
		s.expect(t, "admin", http.MethodPatch, "epic-one", at, `{"spec":{"envoy-replica-count":5,"envoy-template":`+ownTemplate+`}}`, http.StatusOK, "b: {{.Port}}")
		s.expect(t, "alice", http.MethodPatch, "epic-one", at, `{"spec":{"display-name":"other"}}`, http.StatusOK, "b: {{.Port}}")
		s.expect(t, "alice", http.MethodPatch, "epic-one", at, `{"spec":{"envoy-replica-count":4}}`, http.StatusOK, "")
		s.expect(t, "alice", http.MethodPatch, "epic-one", at, `{"spec":{"envoy-replica-count":5}}`, http.StatusForbidden, refusedCount)
		// The way back is open.
		s.expect(t, "alice", http.MethodPatch, "epic-one", at, `{"spec":{"envoy-replica-count":2,"envoy-template":`+groupTemplate+`}}`, http.StatusOK, "a: {{.Port}}")
	}
}

// An endpoint without a tunnel must not be in the gateway cluster.
func TestEndpointsOutsideTheGatewayCluster(t *testing.T) {
	t.Parallel()
	s := startTenancy(t)
	for name, spec := range map[string]string{"web": "", "direct": `,"true-ingress":false`} {
		s.expect(t, "alice", http.MethodPost, "epic-one", "loadbalancers",
			`{"kind":"LoadBalancer","metadata":{"name":"`+name+`"},"spec":{"service-group":"plain","public-address":"198.51.100.`+map[string]string{"web": "10", "direct": "11"}[name]+`","upstream-clusters":["c"]`+spec+`}}`, http.StatusCreated, "")
	}
	s.expect(t, "alice", http.MethodPatch, "epic-one", "loadbalancers/web", `{"spec":{"true-ingress":false}}`, http.StatusUnprocessableEntity, "spec.true-ingress")
	n := 0
	for address, what := range map[string]string{
		"10.96.0.1": "a service address of the gateway cluster", "fd00:10:96::1": "a service address", "172.30.9.9": "denied-endpoint-cidrs",
		"203.0.113.1": "an address of a node of the gateway cluster", "10.244.0.7": "a pod address", "fd00:244::7": "a pod address",
		"198.51.100.10": "a public address of this gateway", "198.51.100.77": "a public address", "100.100.100.200": "metadata", "64:ff9b::a60:1": "a service address",
		"10.9.9.9": "",
	} {
		endpoint := func(lb, node string, code int, text string) {
			t.Helper()
			n++
			for _, query := range []string{"?dryRun=All", ""} {
				s.expect(t, "alice", http.MethodPost, "epic-one", "remoteendpoints"+query, fmt.Sprintf(
					`{"kind":"RemoteEndpoint","metadata":{"name":"e%d","labels":{"epic.acnodal.io/owning-loadbalancer":%q}},"spec":{"cluster":"c","address":%q,"node-address":%q,"port":{"port":%d}}}`, n, lb, address, node, n), code, text)
			}
		}
		family := map[bool]string{true: "IPv4", false: "IPv6"}[!strings.Contains(address, ":")]
		slice := func(nodes, node string, code int, text string) {
			t.Helper()
			n++
			s.expect(t, "alice", http.MethodPost, "epic-one", "gwendpointslices", fmt.Sprintf(
				`{"kind":"GWEndpointSlice","metadata":{"name":"s%d"},"spec":{"addressType":%q,"nodeAddresses":{%s},"endpoints":[{"addresses":[%q]%s}]}}`, n, family, nodes, address, node), code, text)
		}
		refused, path := http.StatusUnprocessableEntity, "spec.endpoints[0].addresses[0]: Forbidden: "+address+" is "
		if what == "" {
			refused, path = http.StatusCreated, ""
		}
		endpoint("web", "", refused, what)
		endpoint("direct", "192.168.1.16", refused, what)
		endpoint("web", "192.168.1.16", http.StatusCreated, "")
		slice(``, ``, refused, path)
		slice(`"a":"192.168.1.16"`, `,"nodeName":"b"`, refused, path)
		slice(`"a":"192.168.1.16"`, `,"nodeName":"a"`, http.StatusCreated, "")
		if what == "" {
			continue
		}
		// What was created behind a tunnel can't lose it.
		s.expect(t, "alice", http.MethodPatch, "epic-one", fmt.Sprintf("remoteendpoints/e%d", n-3), `{"spec":{"node-address":null}}`, refused, what)
		s.expect(t, "alice", http.MethodPatch, "epic-one", fmt.Sprintf("gwendpointslices/s%d", n), `{"spec":{"nodeAddresses":{"a":null}}}`, refused, what)
		s.expect(t, "alice", http.MethodPatch, "epic-one", fmt.Sprintf("gwendpointslices/s%d", n), `[{"op":"remove","path":"/spec/endpoints/0/nodeName"}]`, refused, what)
		s.expect(t, "alice", http.MethodPatch, "epic-one", fmt.Sprintf("gwendpointslices/s%d", n), `{"metadata":{"labels":{"a":"b"}}}`, http.StatusOK, "")
	}
}

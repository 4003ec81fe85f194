// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const (
	guePort    = `{"port": 6080, "protocol": "UDP", "appProtocol": "gue"}`
	sameRoutes = `{"namespaces": {"from": "Same"}}`
)

// TestDefaults gives what a client sends and what it becomes, both as JSON. The
// metadata and, where a case is not about it, an empty status are left out.
func TestDefaults(t *testing.T) {
	tests := []struct {
		name string
		into runtime.Object
		sent string
		want string
	}{{
		name: "an EPIC object may be empty",
		into: &v1.EPIC{},
		sent: `{}`,
		want: `{"spec": {"eds-image": "quay.io/epic-gateway/eds-server:latest",
			"base": {"gue-ingress-nics": ["enp1s0"], "gue-endpoint": {"epic-port": ` + guePort + `}}}}`,
	}, {
		name: "what an EPIC object says stays",
		into: &v1.EPIC{},
		sent: `{"spec": {"eds-image": "mine", "base": {"gue-ingress-nics": ["a", "b"],
			"gue-endpoint": {"epic-port": {"port": 7000, "protocol": "TCP"}}}}}`,
		want: `{"spec": {"eds-image": "mine", "base": {"gue-ingress-nics": ["a", "b"],
			"gue-endpoint": {"epic-port": {"port": 7000, "protocol": "TCP"}}}}}`,
	}, {
		name: "a tunnel port that gives only its number is UDP",
		into: &v1.EPIC{},
		sent: `{"spec": {"eds-image": "mine", "base": {"gue-ingress-nics": ["a"], "gue-endpoint": {"epic-port": {"port": 7000}}}}}`,
		want: `{"spec": {"eds-image": "mine", "base": {"gue-ingress-nics": ["a"],
			"gue-endpoint": {"epic-port": {"port": 7000, "protocol": "UDP"}}}}}`,
	}, {
		name: "a BGP peer with a name, an address and a number only",
		into: &v1.EPIC{},
		sent: `{"spec": {"eds-image": "mine", "base": {"gue-ingress-nics": ["a"], "gue-endpoint": {"epic-port": ` + guePort + `},
			"bgp": {"asn": 64512, "peers": [{"name": "tor", "address": "192.0.2.1", "asn": 64513, "bfd": {}}]}, "layer2": {}}}}`,
		want: `{"spec": {"eds-image": "mine", "base": {"gue-ingress-nics": ["a"], "gue-endpoint": {"epic-port": ` + guePort + `},
			"bgp": {"asn": 64512, "graceful-restart-seconds": 120, "peers": [{"name": "tor", "address": "192.0.2.1", "asn": 64513, "port": 179,
				"hold-time-seconds": 90, "max-prefixes": 10000,
				"bfd": {"transmit-milliseconds": 100, "receive-milliseconds": 100, "detect-multiplier": 3}}]}, "layer2": {}}}}`,
	}, {
		name: "no graceful restart stays so",
		into: &v1.EPIC{},
		sent: `{"spec": {"eds-image": "mine", "base": {"gue-ingress-nics": ["a"], "gue-endpoint": {"epic-port": ` + guePort + `}, "bgp": {"asn": 1, "graceful-restart-seconds": 0}}}}`,
		want: `{"spec": {"eds-image": "mine", "base": {"gue-ingress-nics": ["a"], "gue-endpoint": {"epic-port": ` + guePort + `}, "bgp": {"asn": 1, "graceful-restart-seconds": 0}}}}`,
	}, {
		name: "an account may have twenty proxies",
		into: &v1.Account{},
		sent: `{}`,
		want: `{"spec": {"proxyLimit": 20}}`,
	}, {
		name: "or none",
		into: &v1.Account{},
		sent: `{"spec": {"proxyLimit": 0}}`,
		want: `{"spec": {"proxyLimit": 0}}`,
	}, {
		name: "pools name a bridge",
		into: &v1.ServicePrefix{},
		sent: `{"spec": {"public-pool": {"pool": "p", "subnet": "s", "aggregation": "default"},
			"alt-pool": {"pool": "p", "subnet": "s", "aggregation": "default", "multus-bridge": "mine"}}}`,
		want: `{"spec": {"public-pool": {"pool": "p", "subnet": "s", "aggregation": "default", "multus-bridge": "multus0"},
			"alt-pool": {"pool": "p", "subnet": "s", "aggregation": "default", "multus-bridge": "mine"}}}`,
	}, {
		name: "a service group may be empty",
		into: &v1.LBServiceGroup{},
		sent: `{}`,
		want: `{"spec": {"can-be-shared": false, "envoy-replica-count": 1},
			"status": {"proxy-snapshot-versions": {}}}`,
	}, {
		name: "what a service group says stays",
		into: &v1.LBServiceGroup{},
		sent: `{"spec": {"can-be-shared": true, "envoy-replica-count": 0, "endpoint-template": {}},
			"status": {"proxy-snapshot-versions": {"a": 1}}}`,
		want: `{"spec": {"can-be-shared": true, "envoy-replica-count": 0, "endpoint-template": {}},
			"status": {"proxy-snapshot-versions": {"a": 1}}}`,
	}, {
		name: "a load balancer takes its template and replica count from its group, not from here",
		into: &v1.LoadBalancer{},
		sent: `{"spec": {"public-ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}}`,
		want: `{"spec": {"public-ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}], "true-ingress": true}}`,
	}, {
		name: "a load balancer may do without tunnels",
		into: &v1.LoadBalancer{},
		sent: `{"spec": {"true-ingress": false, "envoy-replica-count": 0}}`,
		want: `{"spec": {"true-ingress": false, "envoy-replica-count": 0}}`,
	}, {
		name: "tunnels and interfaces in a status get a port",
		into: &v1.LoadBalancer{},
		sent: `{"spec": {"true-ingress": false}, "status": {
			"gue-tunnel-endpoints": {"n": {"tunnel-id": 2, "epic-endpoints": {"e": {"tunnel-id": 2},
				"f": {"tunnel-id": 3, "epic-port": {"port": 7000}}}}},
			"proxy-if-info": {"pod": {"index": 1}}}}`,
		want: `{"spec": {"true-ingress": false}, "status": {
			"gue-tunnel-endpoints": {"n": {"tunnel-id": 2, "epic-port": ` + guePort + `, "epic-endpoints": {
				"e": {"tunnel-id": 2, "epic-port": ` + guePort + `},
				"f": {"tunnel-id": 3, "epic-port": {"port": 7000, "protocol": "UDP"}}}}},
			"proxy-if-info": {"pod": {"index": 1, "epic-port": ` + guePort + `}}}}`,
	}, {
		name: "a remote endpoint's port is TCP",
		into: &v1.RemoteEndpoint{},
		sent: `{"spec": {"cluster": "c", "address": "a", "port": {"port": 80}}}`,
		want: `{"spec": {"cluster": "c", "address": "a", "port": {"port": 80, "protocol": "TCP"}}}`,
	}, {
		name: "a proxy without ports and gateway gets no gateway",
		into: &v1.GWProxy{},
		sent: `{"spec": {}}`,
		want: `{"spec": {"clientRef": {}}}`,
	}, {
		name: "a proxy with ports gets a gateway that listens on the first",
		into: &v1.GWProxy{},
		sent: `{"spec": {"public-ports": [{"port": 8080}, {"port": 8081}]}}`,
		want: `{"spec": {"clientRef": {}, "public-ports": [{"port": 8080, "protocol": "TCP"}, {"port": 8081, "protocol": "TCP"}],
			"gateway": {"gatewayClassName": "compatibility", "listeners":
				[{"name": "compatibility", "port": 8080, "protocol": "HTTP", "allowedRoutes": ` + sameRoutes + `}]}}}`,
	}, {
		name: "a gateway without listeners and ports listens on the port of HTTP",
		into: &v1.GWProxy{},
		sent: `{"spec": {"gateway": {"gatewayClassName": "", "listeners": null}}}`,
		want: `{"spec": {"clientRef": {}, "gateway": {"gatewayClassName": "compatibility", "listeners":
			[{"name": "compatibility", "port": 80, "protocol": "HTTP", "allowedRoutes": ` + sameRoutes + `}]}}}`,
	}, {
		name: "a gateway's listeners and addresses",
		into: &v1.GWProxy{},
		sent: `{"spec": {"gateway": {"gatewayClassName": "mine", "addresses": [{"value": "192.0.2.1"}], "listeners": [
			{"name": "a", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "c"}]},
				"allowedRoutes": {"kinds": [{"kind": "HTTPRoute"}, {"group": "", "kind": "Mine"}]}},
			{"name": "b", "port": 444, "protocol": "TLS", "tls": {"mode": "Passthrough"},
				"allowedRoutes": {"namespaces": {"from": "All"}}}]}}}`,
		want: `{"spec": {"clientRef": {}, "gateway": {"gatewayClassName": "mine", "addresses": [{"type": "IPAddress", "value": "192.0.2.1"}], "listeners": [
			{"name": "a", "port": 443, "protocol": "HTTPS", "tls": {"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": "c"}]},
				"allowedRoutes": {"namespaces": {"from": "Same"}, "kinds": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute"}, {"group": "", "kind": "Mine"}]}},
			{"name": "b", "port": 444, "protocol": "TLS", "tls": {"mode": "Passthrough"},
				"allowedRoutes": {"namespaces": {"from": "All"}}}]}}}`,
	}, {
		name: "a route of neither kind stays one",
		into: &v1.GWRoute{},
		sent: `{}`,
		want: `{"spec": {"clientRef": {}}}`,
	}, {
		name: "an HTTP route without rules matches everything",
		into: &v1.GWRoute{},
		sent: `{"spec": {"http": {}}}`,
		want: `{"spec": {"clientRef": {}, "http": {"rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}]}]}}}`,
	}, {
		name: "an HTTP route",
		into: &v1.GWRoute{},
		sent: `{"spec": {"http": {"parentRefs": [{"name": "p"}], "rules": [
			{"backendRefs": [{"name": "b"}, {"name": "c", "weight": 0}]},
			{"matches": [{"path": {"value": "/x"}, "headers": [{"name": "h", "value": "v"}], "queryParams": [{"name": "q", "value": "v"}]},
				{"path": {"type": "Exact", "value": "/y"}, "headers": [{"type": "RegularExpression", "name": "h", "value": "v"}]}],
			 "filters": [{"type": "RequestRedirect", "requestRedirect": {}},
				{"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}},
				{"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "m"}}}],
			 "backendRefs": [{"name": "b", "filters": [{"type": "RequestRedirect", "requestRedirect": {}}]}]}]}}}`,
		want: `{"spec": {"clientRef": {}, "http": {"parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "p"}], "rules": [
			{"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
			 "backendRefs": [{"group": "", "kind": "Service", "name": "b", "weight": 1}, {"group": "", "kind": "Service", "name": "c", "weight": 0}]},
			{"matches": [{"path": {"type": "PathPrefix", "value": "/x"}, "headers": [{"type": "Exact", "name": "h", "value": "v"}],
					"queryParams": [{"type": "Exact", "name": "q", "value": "v"}]},
				{"path": {"type": "Exact", "value": "/y"}, "headers": [{"type": "RegularExpression", "name": "h", "value": "v"}]}],
			 "filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 302}},
				{"type": "RequestRedirect", "requestRedirect": {"statusCode": 301}},
				{"type": "RequestMirror", "requestMirror": {"backendRef": {"group": "", "kind": "Service", "name": "m"}}}],
			 "backendRefs": [{"group": "", "kind": "Service", "name": "b", "weight": 1,
				"filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 302}}]}]}]}}}`,
	}, {
		name: "a TCP route",
		into: &v1.GWRoute{},
		sent: `{"spec": {"tcp": {"parentRefs": [{"name": "p"}], "rules": [{"backendRefs": [{"name": "b"}]}]}}}`,
		want: `{"spec": {"clientRef": {}, "tcp": {"parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "p"}],
			"rules": [{"backendRefs": [{"group": "", "kind": "Service", "name": "b", "weight": 1}]}]}}}`,
	}, {
		name: "a slice's ports are TCP",
		into: &v1.GWEndpointSlice{},
		sent: `{"spec": {"nodeAddresses": {}, "addressType": "IPv4", "endpoints": [], "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}]}}`,
		want: `{"spec": {"clientRef": {}, "parentRef": {}, "nodeAddresses": {}, "addressType": "IPv4", "endpoints": [],
			"ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]}}`,
	}}

	scheme := newScheme()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if err := json.Unmarshal([]byte(test.sent), test.into); err != nil {
				t.Fatal(err)
			}
			scheme.Default(test.into)
			once := fields(t, test.into)
			var want map[string]any
			if err := json.Unmarshal([]byte(test.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, once); diff != "" {
				t.Errorf("wrong defaults (-want +got):\n%s", diff)
			}
			scheme.Default(test.into)
			if diff := cmp.Diff(once, fields(t, test.into)); diff != "" {
				t.Errorf("defaulting twice changes something:\n%s", diff)
			}
		})
	}
}

// fields is an object's JSON without its metadata and without an empty status.
func fields(t *testing.T, obj runtime.Object) map[string]any {
	t.Helper()
	text, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	var content map[string]any
	if err := json.Unmarshal(text, &content); err != nil {
		t.Fatal(err)
	}
	delete(content, "metadata")
	if status, ok := content["status"].(map[string]any); ok && len(status) == 0 {
		delete(content, "status")
	}
	return content
}

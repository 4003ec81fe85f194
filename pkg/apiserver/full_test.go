// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import "strings"

// full has, in the order in which they depend on each other, an object of every kind
// with as many fields as the server takes at once, and a status for each.
var full = []struct{ resource, object, status string }{
	{"epics", `{kind: EPIC, metadata: {namespace: epic, name: epic, labels: {a: b}, annotations: {c: d}, finalizers: [example.com/f]}, spec: {
		eds-image: e, envoy-image: v, xds-image: x, service-cidr: 10.96.0.0/12, denied-endpoint-cidrs: [198.51.100.0/24],
		base: {gue-ingress-nics: [eth0], gue-endpoint: {epic-port: {port: 6081, protocol: UDP, name: gue, appProtocol: gue}}}}}`,
		`{nodes: {192.0.2.250: {name: node, version: v1, heartbeat-time: "2026-01-01T00:00:00Z", tunnels: 2, tunnels-up: 1, CONDITIONS}}, gateway-nodes: 2}`},
	{"serviceprefixes", `{kind: ServicePrefix, metadata: {namespace: epic, name: pool}, spec: {
		public-pool: {pool: "2001:db8::/120", subnet: "2001:db8::/64", aggregation: /128, multus-bridge: br0},
		alt-pool: {pool: 192.0.2.10-192.0.2.19, subnet: 192.0.2.0/24, aggregation: /32, multus-bridge: br0}}}`, `{}`},
	{"accounts", `{kind: Account, metadata: {namespace: epic-one, name: one}, spec: {proxyLimit: 7, group-id: 4, objectLimit: 500, storageLimitBytes: 1000000}}`, `{}`},
	{"lbservicegroups", `{kind: LBServiceGroup, metadata: {namespace: epic-one, name: web, labels: {epic.acnodal.io/owning-serviceprefix: pool}}, spec: {
		can-be-shared: true, envoy-image: v, envoy-replica-count: 2, TEMPLATE,
		endpoint-template: {dnsName: "{{.LBName}}.example.com", recordTTL: 60, recordType: AAAA, setIdentifier: s, labels: {a: b}, providerSpecific: [{name: node, value: v}]}}}`,
		`{proxy-snapshot-versions: {lb: 3}}`},
	{"loadbalancers", `{kind: LoadBalancer, metadata: {namespace: epic-one, name: lb}, spec: {service-group: web, display-name: shop, public-address: "2001:db8::7",
		service-id: 12, upstream-clusters: [c, d], true-ingress: false, envoy-replica-count: 3, TEMPLATE,
		public-ports: [{port: 80, protocol: TCP, name: http, appProtocol: http, targetPort: web, nodePort: 30080}, {port: 80, protocol: UDP, name: quic, targetPort: 8080}]}}`,
		`{TUNNELS}`},
	{"remoteendpoints", `{kind: RemoteEndpoint, metadata: {namespace: epic-one, name: rep, labels: {epic.acnodal.io/owning-loadbalancer: lb}},
		spec: {cluster: c, address: 10.0.0.1, node-address: 10.9.0.1, port: {port: 80, protocol: TCP, name: http, appProtocol: http}}}`,
		`{proxy-ifindex: 3, tunnel-id: 9}`},
	{"gwproxies", `{kind: GWProxy, metadata: {namespace: epic-one, name: gwp, labels: {epic.acnodal.io/owning-lbservicegroup: web}}, spec: {
		clientRef: {clusterID: c, namespace: default, name: web, uid: u}, display-name: web, public-address: "2001:db8::8", alt-address: 192.0.2.11, envoy-replica-count: 2, TEMPLATE,
		public-ports: [{port: 443, protocol: TCP, name: a, targetPort: 0}, {port: 443, protocol: TCP, name: b}],
		gateway: {gatewayClassName: c, addresses: [{type: IPAddress, value: "2001:db8::8"}], infrastructure: {labels: {a: b}, annotations: {c: d}}, listeners: [
			{name: a, hostname: "*.example.com", port: 443, protocol: HTTPS, tls: {mode: Terminate, certificateRefs: [{group: "", kind: Secret, name: cert, namespace: epic-one}], options: {example.com/o: "on"}},
				allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {a: b}, matchExpressions: [{key: k, operator: In, values: [v]}]}}, kinds: [{group: gateway.networking.k8s.io, kind: HTTPRoute}]}},
			{name: b, port: 443, protocol: HTTPS, hostname: www.example.org, tls: {certificateRefs: [{name: other}]}}]}}}`,
		`{TUNNELS}`},
	{"gwroutes", `{kind: GWRoute, metadata: {namespace: epic-one, name: route}, spec: {clientRef: {clusterID: c, namespace: default, name: web, uid: u}, http: {
		parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default, name: gwp, sectionName: a, port: 443}], hostnames: [www.example.com], rules: [{name: r,
			matches: [{path: {type: PathPrefix, value: /shop}, headers: [{type: Exact, name: version, value: "2"}], queryParams: [{type: RegularExpression, name: q, value: ".*"}], method: GET}],
			filters: [
				{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: "1"}], add: [{name: b, value: "2"}], remove: [c]}},
				{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: a, value: "1"}]}},
				{type: RequestMirror, requestMirror: {backendRef: {group: "", kind: Service, name: mirror, namespace: default, port: 80}}}],
			timeouts: {request: 10s, backendRequest: 2s}, retry: {codes: [502, 503], attempts: 3, backoff: 100ms},
			backendRefs: [{group: "", kind: Service, name: backend, namespace: default, port: 8080, weight: 0}]},
			{filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: example.com, path: {type: ReplaceFullPath, replaceFullPath: /}, port: 443, statusCode: 301}}]}]}}}`, `{}`},
	{"gwendpointslices", `{kind: GWEndpointSlice, metadata: {namespace: epic-one, name: slice}, spec: {clientRef: {clusterID: c, namespace: default, name: web, uid: u},
		parentRef: {clusterID: c, namespace: default, name: web, uid: v}, nodeAddresses: {node-1: 10.1.1.1}, apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web},
		addressType: IPv4, ports: [{name: http, protocol: TCP, port: 8080, appProtocol: http}], endpoints: [
			{addresses: [10.2.3.4], conditions: {ready: true, serving: true, terminating: false}, hostname: web-0, nodeName: node-1, zone: a,
				targetRef: {kind: Pod, namespace: default, name: web-0, uid: u, resourceVersion: "12"}, hints: {forZones: [{name: a}]}, deprecatedTopology: {topology.kubernetes.io/zone: a}},
			{addresses: [10.2.3.5], conditions: {}}]}}`, `{}`},
	{"gatewaynodes", `{kind: GatewayNode, metadata: {namespace: epic, name: 192.0.2.250, labels: {a: b}}, spec: {address: 192.0.2.250}}`,
		`{node-name: node, version: v1, heartbeat-time: "2026-01-01T00:00:00Z", tunnels: 3, tunnels-up: 1, tunnels-down: 1, tunnel-states: {up: AQA=, down: BwA=},
			down-tunnels: [{tunnel-id: 7, tenant-node: 10.9.0.1, last-answer: "2026-01-01T00:00:00Z"}], CONDITIONS}`},
}

// parts are what several objects of full have.
var parts = strings.NewReplacer(
	"TEMPLATE", `envoy-template: {nodeID: node, serialization: json, envoyAPI: v3, envoyResources: {clusters: [{name: c, value: "{}"}]}}`,
	"TUNNELS", `gue-tunnel-endpoints: {10.9.0.1: {epic-endpoints: {192.0.2.250: {epic-address: 192.0.2.250}, 192.0.2.251: {epic-address: 192.0.2.251, epic-port: {port: 6080, protocol: UDP}}}}},
		proxy-if-info: {pod: {epic-node-address: 192.0.2.250, epic-port: {port: 6080}, index: 4, name: veth4}}, proxy-placements: {pod: 192.0.2.250}`,
	"CONDITIONS", `conditions: [{type: Ready, status: "True", reason: R, message: m, lastTransitionTime: "2026-01-01T00:00:00Z", observedGeneration: 1}]`,
)

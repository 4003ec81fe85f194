// SPDX-License-Identifier: Apache-2.0

package template

import (
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// The templates have the form of those that the published documentation of the original
// system shows: endpoints and clusters from the server eds-server, a listener on all
// addresses, boolean words of YAML 1.1, and deprecated fields.
const (
	clusterTemplate = `
name: {{.ClusterName}}
connect_timeout: 2s
type: EDS
eds_cluster_config:
  eds_config:
    resource_api_version: V3
    api_config_source:
      api_type: GRPC
      transport_api_version: V3
      grpc_services:
      - envoy_grpc: {cluster_name: eds-server}
lb_policy: ROUND_ROBIN
health_checks:
- {interval: 5s, timeout: 5s, no_traffic_interval: 5s, unhealthy_threshold: 3, healthy_threshold: 3, tcp_health_check: {}}
`
	endpointTemplate = `
cluster_name: {{.ClusterName}}
{{- if .Endpoints}}
endpoints:
- lb_endpoints:
{{- range .Endpoints}}
  - endpoint:
      address:
        socket_address:
          address: {{.Spec.Address}}
          protocol: {{.Spec.Port.Protocol | ToUpper}}
          port_value: {{.Spec.Port.Port}}
{{- end}}
{{- end}}
`
	listenerTemplate = `
name: {{.PortName}}
address:
  socket_address: {address: "::", ipv4_compat: yes, port_value: {{.Port}}, protocol: {{.Protocol | ToUpper}}}
filter_chains:
- filters:
  {{- with (.Routes | TCPRoutes) }}
  - name: envoy.filters.network.tcp_proxy
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      stat_prefix: destination
      weighted_clusters:
        clusters:
        {{- range . }}{{- range .Rules }}{{- range .BackendRefs }}
        - name: {{ .Name }}
          weight: {{ .Weight }}
        {{- end }}{{- end }}{{- end }}
  {{- end }}
  {{- with (.Routes | HTTPRoutes) }}
  - name: envoy.http_connection_manager
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: {{ $.ServiceName }}
      add_user_agent: true
      use_remote_address: true
      route_config:
        name: local_route
        virtual_hosts:
        {{- range $spec := . }}
        {{- range .Hostnames | HostnameOrDefault }}
        - name: "{{ . }}"
          domains: ["{{ . }}"]
          routes:
          {{- range $spec.Rules }}
          -
            match:
              {{- $match := (index .Matches 0) }}
              {{- if $match.Path.Type | PathTypePathPrefix }}
              prefix: "{{ $match.Path.Value }}"
              {{- end }}
              {{- if $match.Path.Type | PathTypeExact }}
              path: "{{ $match.Path.Value }}"
              {{- end }}
              {{- if $match.Headers }}
              headers:
              {{- range $match.Headers }}
              - name: "{{ .Name }}"
                string_match:
                {{- if .Type | HeaderTypeRegex }}
                  safe_regex:
                    google_re2: {}
                    regex: "{{ .Value }}"
                {{- else }}
                  exact: "{{ .Value }}"
                {{- end }}
              {{- end }}
              {{- end }}
            {{- if . | RuleRedirect }}
            redirect:
            {{- else }}
            route:
            {{- end }}
            {{- if .BackendRefs }}
              weighted_clusters:
                clusters:
                {{- range .BackendRefs }}
                - name: {{ .Name }}
                  weight: {{ .Weight }}
                {{- end }}
                total_weight: {{ .BackendRefs | RefWeightsTotal }}
            {{- end }}
            {{- range .Filters }}
              {{- if .URLRewrite }}{{- if .URLRewrite.Path }}{{- if .URLRewrite.Path.ReplacePrefixMatch }}
              prefix_rewrite: "{{ .URLRewrite.Path.ReplacePrefixMatch }}"
              {{- end }}{{- end }}{{- end }}
              {{- if .RequestRedirect }}
              {{- if .RequestRedirect.StatusCode }}
              response_code: {{ .RequestRedirect.StatusCode | StatusToResponse }}
              {{- end }}
              {{- if .RequestRedirect.Hostname }}
              host_redirect: {{ .RequestRedirect.Hostname }}
              {{- end }}
              {{- end }}
              {{- if .RequestHeaderModifier }}
            request_headers_to_add:
              {{- range .RequestHeaderModifier.Set }}
            - header:
                key: {{ .Name }}
                value: {{ .Value }}
              append: no
              {{- end }}
              {{- end }}
            {{- end }}
          {{- end }}
        {{- end }}
        {{- end }}
      http_filters:
      - name: envoy.filters.http.bandwidth_limit
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.bandwidth_limit.v3.BandwidthLimit
          stat_prefix: bandwidth_limiter_default
          enable_mode: REQUEST_AND_RESPONSE
          limit_kbps: 1000
          fill_interval: 0.1s
      - name: envoy.filters.http.router
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  {{ end }}
`
)

const (
	ns      = "epic-acme"
	service = "3dbc2265-3ec5-4bdf-82e1-86514d7f8321"
	public  = "127.0.0.9"
)

// awkward is a text that breaks out of every form of quotation.
const awkward = "1.0 \"q\" 'a' <b>&amp; + \\d+ \u00e9\u4e16 #x: {y}, [z] %%"

func spec() *epicv1.EnvoyConfigSpec {
	return &epicv1.EnvoyConfigSpec{
		NodeID: "SET_BY_EPIC", Serialization: epicv1.SerializationYAML, EnvoyAPI: epicv1.EnvoyAPIv3,
		EnvoyResources: epicv1.EnvoyResources{
			Clusters:  []epicv1.EnvoyResource{{Name: "SET_BY_EPIC", Value: clusterTemplate}},
			Endpoints: []epicv1.EnvoyResource{{Name: "SET_BY_EPIC", Value: endpointTemplate}},
			Listeners: []epicv1.EnvoyResource{{Name: "SET_BY_EPIC", Value: listenerTemplate}},
		},
	}
}

// gatewayInput is a gateway with an HTTP and a TCP listener.
func gatewayInput(t *epicv1.EnvoyConfigSpec) Input {
	proxy := &epicv1.GWProxy{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "web", UID: "u"}}
	proxy.Spec.PublicAddress, proxy.Spec.DisplayName = public, "devtest"
	proxy.Spec.Gateway = &epicv1.GatewaySpec{GatewaySpec: gatewayv1.GatewaySpec{Listeners: []gatewayv1.Listener{
		{Name: "http", Port: 8080, Protocol: gatewayv1.HTTPProtocolType}, {Name: "tcp", Port: 9090, Protocol: gatewayv1.TCPProtocolType},
	}}}
	parent := func(section gatewayv1.SectionName) gatewayv1.CommonRouteSpec {
		return gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "web", SectionName: &section}}}
	}
	ref := gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{Name: service, Port: new(gatewayv1.PortNumber(8080))}}
	http := &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "a"}}
	http.Spec.HTTP = &epicv1.HTTPRouteSpec{HTTPRouteSpec: gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: parent("http"), Hostnames: []gatewayv1.Hostname{"shop.example.com"},
		Rules: []gatewayv1.HTTPRouteRule{
			{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: ref}}},
			{
				Matches: []gatewayv1.HTTPRouteMatch{{
					Path:    &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchExact), Value: new("/a&b\"c")},
					Headers: []gatewayv1.HTTPHeaderMatch{{Name: "x-version", Type: new(gatewayv1.HeaderMatchRegularExpression), Value: `^\d+<">$`}},
				}},
				BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: ref}},
				Filters: []gatewayv1.HTTPRouteFilter{{
					Type:                  gatewayv1.HTTPRouteFilterRequestHeaderModifier,
					RequestHeaderModifier: &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "x-awkward", Value: awkward}, {Name: "x-number", Value: "12"}}},
				}},
			},
			{
				Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchPathPrefix), Value: new("/old")}}},
				Filters: []gatewayv1.HTTPRouteFilter{{
					Type:            gatewayv1.HTTPRouteFilterRequestRedirect,
					RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{Hostname: new(gatewayv1.PreciseHostname("new.example.com")), StatusCode: new(301)},
				}},
			},
		},
	}}
	tcp := &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "b"}}
	tcp.Spec.TCP = &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{
		CommonRouteSpec: parent("tcp"), Rules: []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{ref}}},
	}}
	routes := []*epicv1.GWRoute{http, tcp}
	return Input{
		Template: t, Source: resource.Source{Kind: "GWProxy", Namespace: ns, Name: "web"}, Proxy: proxy, Routes: routes,
		Plain: plainGateway(proxy, routes),
	}
}

func plainGateway(proxy *epicv1.GWProxy, routes []*epicv1.GWRoute) *translate.Result {
	slice := &epicv1.GWEndpointSlice{}
	slice.Spec.Ports = []discoveryv1.EndpointPort{{Port: new(int32(8080))}}
	known := map[string]*translate.Service{service: translate.ServiceOf([]*epicv1.GWEndpointSlice{slice})}
	return translate.Gateway(translate.GatewayInput{Proxy: proxy, Routes: routes, Services: known})
}

func loadBalancerInput(t *epicv1.EnvoyConfigSpec) Input {
	lb := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "lb", UID: "u"}}
	lb.Spec.PublicAddress, lb.Spec.DisplayName, lb.Spec.UpstreamClusters = public, "devtest", []string{"east", "west"}
	lb.Spec.PublicPorts = []epicv1.ServicePort{{Port: 8888, Protocol: corev1.ProtocolTCP}}
	rep := &epicv1.RemoteEndpoint{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "e", Labels: map[string]string{epic.OwningLoadBalancerLabel: "lb"}}}
	rep.Spec = epicv1.RemoteEndpointSpec{Cluster: "east", Address: "10.1.2.3", NodeAddress: "192.0.2.1", Port: epicv1.EndpointPort{Port: 8080, Protocol: corev1.ProtocolTCP}}
	return Input{
		Template: t, Source: resource.Source{Kind: "LoadBalancer", Namespace: ns, Name: "lb"}, LoadBalancer: lb, RemoteEndpoints: []*epicv1.RemoteEndpoint{rep},
		Plain: translate.LoadBalancer(translate.LoadBalancerInput{LoadBalancer: lb}),
	}
}

func rendered(t *testing.T, in Input) *translate.Result {
	t.Helper()
	// The time is that of a loaded machine.
	in.Limits = DefaultLimits
	in.Limits.Time = time.Minute
	r, problems := Render(t.Context(), in)
	if r == nil || len(problems) > 0 {
		t.Fatalf("not rendered: %v", problems)
	}
	return r
}

func read(t *testing.T, r *translate.Result, typ resource.Type, name string, into proto.Message) {
	t.Helper()
	has := r.Resources[resource.Key{Type: typ, Name: name}]
	if has == nil {
		t.Fatalf("there is no %s %q", typ, name)
	}
	if err := proto.Unmarshal(has.Body, into); err != nil {
		t.Fatal(err)
	}
}

func TestPublishedTemplates(t *testing.T) {
	r := rendered(t, gatewayInput(spec()))
	cluster := &clusterv3.Cluster{}
	read(t, r, resource.Cluster, service, cluster)
	if cluster.EdsClusterConfig.EdsConfig.GetAds() == nil {
		t.Errorf("the cluster's endpoints come from %v, want ADS", cluster.EdsClusterConfig.EdsConfig)
	}
	l := &listenerv3.Listener{}
	read(t, r, resource.Listener, "HTTP-8080", l)
	if at := l.Address.GetSocketAddress(); at.Address != public || at.GetPortValue() != 8080 {
		t.Errorf("listens on %v", at)
	}
	hcm := &hcmv3.HttpConnectionManager{}
	if err := l.FilterChains[0].Filters[0].GetTypedConfig().UnmarshalTo(hcm); err != nil {
		t.Fatal(err)
	}
	host := hcm.GetRouteConfig().VirtualHosts[0]
	if host.Domains[0] != "shop.example.com" || len(host.Routes) != 3 {
		t.Fatalf("virtual host %v", host)
	}
	exact, redirect, all := host.Routes[0], host.Routes[1], host.Routes[2]
	if got := exact.Match.GetPath(); got != "/a&b\"c" {
		t.Errorf("path %q", got)
	}
	if got := exact.Match.Headers[0].GetStringMatch().GetSafeRegex().Regex; got != `^\d+<">$` {
		t.Errorf("expression %q", got)
	}
	if got := exact.RequestHeadersToAdd[0].Header.Value; got != awkward {
		t.Errorf("value %q, want %q", got, awkward)
	}
	if got := exact.RequestHeadersToAdd[1].Header.Value; got != "12" {
		t.Errorf("value %q", got)
	}
	if redirect.GetRedirect().GetHostRedirect() != "new.example.com" || all.Match.GetPrefix() != "/" || all.GetRoute().GetWeightedClusters().Clusters[0].Name != service {
		t.Errorf("routes %v, %v", redirect, all)
	}
	if len(r.Backends) != 1 || r.Backends[0].Members[0].Service != service || r.Backends[0].Members[0].Port != 8080 {
		t.Errorf("backends %+v", r.Backends)
	}
}

// TestTenantsValuesStayValues: the text of a route never becomes a part of the document.
func TestTenantsValuesStayValues(t *testing.T) {
	in := gatewayInput(spec())
	in.Routes[0].Spec.HTTP.Rules[1].Filters[0].RequestHeaderModifier.Set[0].Value = "x\"\n              append: yes\n            - header: {key: evil, value: y}\n#"
	in.Plain = plainGateway(in.Proxy, in.Routes)
	in.Limits = DefaultLimits
	in.Limits.Time = time.Minute
	if r, problems := Render(t.Context(), in); r != nil {
		t.Fatal("a value with line breaks became a header")
	} else if len(problems) == 0 || !strings.Contains(problems[0].Message, "Envoy's API") {
		t.Errorf("refused with %v", problems)
	}
}

func TestEnvoyAcceptsPublishedTemplates(t *testing.T) {
	e := envoytest.Start(t)
	lb := spec()
	lb.EnvoyResources.Listeners[0].Value = `
name: {{.PortName}}
address: {socket_address: {address: 0.0.0.0, port_value: {{.Port}}, protocol: {{.Protocol}}}}
filter_chains:
- filters:
  - name: tcp
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      stat_prefix: {{.PureLBServiceName}}
      weighted_clusters:
        clusters:
        {{- range .Clusters}}
        - {name: {{.}}, weight: {{$.ClusterWeight}}}
        {{- end}}
`
	for name, in := range map[string]Input{"gateway": gatewayInput(spec()), "load balancer": loadBalancerInput(lb)} {
		r := rendered(t, in)
		for i := range r.Backends {
			plain, _ := r.Backends[i].Assignment(translate.EndpointsInput{LoadBalancer: in.LoadBalancer, RemoteEndpoints: in.RemoteEndpoints, Namespace: ns})
			made, problems := Endpoints(t.Context(), Assignment{Template: in.Template, Source: in.Source, Service: "x", Plain: plain, Limits: Limits{Time: time.Minute, Output: 1 << 20, Steps: 1e6, Text: 1e6, Depth: 10}})
			if len(problems) > 0 {
				t.Errorf("%s: %v", name, problems)
			}
			r.Resources[made.Key()] = made
		}
		if err := e.Apply(r.Resources); err != nil {
			t.Errorf("%s: Envoy refuses: %v", name, err)
		}
	}
}

func TestEndpoints(t *testing.T) {
	in := loadBalancerInput(spec())
	b := translate.Backend{Name: "east", Port: translate.PublishedPort{Port: 8888, Protocol: protocolTCP}, Cluster: "east"}
	plain, _ := b.Assignment(translate.EndpointsInput{LoadBalancer: in.LoadBalancer, RemoteEndpoints: in.RemoteEndpoints})
	limits := DefaultLimits
	limits.Time = time.Minute
	made, problems := Endpoints(t.Context(), Assignment{Template: in.Template, Source: in.Source, Plain: plain, Limits: limits})
	if len(problems) > 0 || made.Version != plain.Version {
		t.Errorf("the published template makes other endpoints than there are: %v", problems)
	}
	elsewhere := spec()
	elsewhere.EnvoyResources.Endpoints[0].Value = "{cluster_name: east, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 169.254.169.254, port_value: 80}}}}]}]}"
	made, problems = Endpoints(t.Context(), Assignment{Template: elsewhere, Source: in.Source, Plain: plain, Limits: limits})
	if made.Version != plain.Version || len(problems) != 1 || !strings.Contains(problems[0].Message, "not an endpoint of the cluster") {
		t.Errorf("endpoints elsewhere: %v", problems)
	}
	b.Cluster = "west"
	other, _ := b.Assignment(translate.EndpointsInput{LoadBalancer: in.LoadBalancer, RemoteEndpoints: in.RemoteEndpoints})
	message := &endpointv3.ClusterLoadAssignment{}
	if err := proto.Unmarshal(other.Body, message); err != nil || len(message.Endpoints) > 0 {
		t.Errorf("the cluster west has endpoints of another one: %v %v", message, err)
	}
}

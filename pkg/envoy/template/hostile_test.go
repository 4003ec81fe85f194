// SPDX-License-Identifier: Apache-2.0

package template

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/bootstrap"
)

const (
	types       = "type.googleapis.com/envoy.extensions."
	plainListen = `"name":"{{.PortName}}","address":{"socket_address":{"address":"0.0.0.0","port_value":{{.Port}}}}`
	edsCluster  = `"name":"{{.ClusterName}}","type":"EDS","connect_timeout":"1s"`
	toCluster   = `"virtual_hosts":[{"name":"x","domains":["*"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"` + service + `"}}]}]`
)

// listens is a listener with more fields.
func listens(more string) string { return "{" + plainListen + "," + more + "}" }

// filtered is a listener with a network filter.
func filtered(config string) string {
	return listens(`"filter_chains":[{"filters":[{"name":"x","typed_config":` + config + `}]}]`)
}

// manages is a listener with an HTTP connection manager that has more fields.
func manages(more string) string {
	return filtered(`{"@type":"` + types + `filters.network.http_connection_manager.v3.HttpConnectionManager","stat_prefix":"x",` + more + `}`)
}

// routes is a listener with the action of a route.
func routesTo(action string) string {
	return manages(`"route_config":{"virtual_hosts":[{"name":"x","domains":["*"],"routes":[{"match":{"prefix":"/"},` + action + `}]}]}`)
}

func httpFilter(config string) string {
	return manages(`"route_config":{` + toCluster + `},"http_filters":[{"name":"x","typed_config":` + config + `}]`)
}

func tlsContext(more string) string {
	return listens(`"filter_chains":[{"transport_socket":{"name":"x","typed_config":{"@type":"` + types + `transport_sockets.tls.v3.DownstreamTlsContext","common_tls_context":{` + more + `}}}}]`)
}

// TestHostileTemplates: each is refused, and the refusal names the field and the rule.
func TestHostileTemplates(t *testing.T) {
	tests := []struct{ name, kind, value, field, rule string }{
		{"certificate from a file", "listener", tlsContext(`"tls_certificates":[{"certificate_chain":{"filename":"/etc/passwd"}}]`), "tls_certificates[0].certificate_chain.filename", "inline"},
		{"key from a variable", "listener", tlsContext(`"tls_certificates":[{"private_key":{"environment_variable":"HOME"}}]`), "private_key.environment_variable", "variable"},
		{"watched directory", "listener", tlsContext(`"tls_certificates":[{"watched_directory":{"path":"/etc"}}]`), "watched_directory", "file"},
		{"key log", "listener", tlsContext(`"key_log":{"path":"/tmp/keys"}`), "key_log", "file"},
		{"private key provider", "listener", tlsContext(`"tls_certificates":[{"private_key_provider":{"provider_name":"x"}}]`), "private_key_provider", "extension"},
		{"secret from a file", "listener", tlsContext(`"tls_certificate_sds_secret_configs":[{"name":"x","sds_config":{"path_config_source":{"path":"/x"}}}]`), "sds_config.path_config_source", "ads"},
		{"secret that is not in the template", "listener", tlsContext(`"tls_certificate_sds_secret_configs":[{"name":"certificate/other","sds_config":{"ads":{}}}]`), "tls_certificate_sds_secret_configs[0].name", "envoyResources.secrets"},
		{"authority from a file", "listener", tlsContext(`"validation_context":{"trusted_ca":{"filename":"/x"}}`), "trusted_ca.filename", "inline"},
		{"wasm", "listener", httpFilter(`{"@type":"` + types + `filters.http.wasm.v3.Wasm"}`), "http_filters[0].typed_config.@type", "runs code"},
		{"lua", "listener", httpFilter(`{"@type":"` + types + `filters.http.lua.v3.Lua","default_source_code":{"inline_string":"os.exit()"}}`), "typed_config.@type", "runs code"},
		{"dynamic module", "listener", httpFilter(`{"@type":"` + types + `filters.http.dynamic_modules.v3.DynamicModuleFilter"}`), "typed_config.@type", "runs code"},
		{"go", "listener", httpFilter(`{"@type":"` + types + `filters.http.golang.v3alpha.Config"}`), "typed_config.@type", "runs code"},
		{"tap", "listener", httpFilter(`{"@type":"` + types + `filters.http.tap.v3.Tap"}`), "typed_config.@type", "copies"},
		{"untyped struct", "listener", httpFilter(`{"@type":"type.googleapis.com/xds.type.v3.TypedStruct","type_url":"x"}`), "typed_config.@type", "hides"},
		{"other prefix of a type", "listener", httpFilter(`{"@type":"evil/envoy.extensions.filters.http.router.v3.Router"}`), "typed_config.@type", "may not be used"},
		{"dynamic forward proxy", "listener", httpFilter(`{"@type":"` + types + `filters.http.dynamic_forward_proxy.v3.FilterConfig"}`), "typed_config.@type", "not endpoints"},
		{"AWS credentials", "listener", httpFilter(`{"@type":"` + types + `filters.http.aws_request_signing.v3.AwsRequestSigning"}`), "typed_config.@type", "credentials"},
		{"file server", "listener", httpFilter(`{"@type":"` + types + `filters.http.file_server.v3.FileServerConfig"}`), "typed_config.@type", "files"},
		{"external processing", "listener", httpFilter(`{"@type":"` + types + `filters.http.ext_proc.v3.ExternalProcessor"}`), "typed_config.@type", "not on the list"},
		{"filter by discovery", "listener", manages(`"http_filters":[{"name":"x","config_discovery":{"config_source":{"ads":{}},"type_urls":["x"]}}]`), "config_discovery", "not served"},
		{"routes from another server", "listener", manages(`"rds":{"route_config_name":"x","config_source":{"api_config_source":{"api_type":"GRPC","grpc_services":[{"envoy_grpc":{"cluster_name":"evil"}}]}}}`), "grpc_services[0]", "operator only"},
		{"routes from a Google channel", "listener", manages(`"rds":{"route_config_name":"x","config_source":{"api_config_source":{"api_type":"GRPC","grpc_services":[{"google_grpc":{"target_uri":"evil:1","stat_prefix":"x"}}]}}}`), "grpc_services[0]", "operator only"},
		{"routes that are not there", "listener", manages(`"rds":{"route_config_name":"http/80","config_source":{"ads":{}}}`), "rds.route_config_name", "envoyResources.routes"},
		{"scoped routes", "listener", manages(`"scoped_routes":{"name":"x"}`), "scoped_routes", "not served"},
		{"tracing", "listener", manages(`"tracing":{}`), "tracing", "elsewhere"},
		{"access log to a file", "listener", manages(`"access_log":[{"name":"x","typed_config":{"@type":"` + types + `access_loggers.file.v3.FileAccessLog","path":"/etc/cron.d/x"}}]`), "access_log[0].typed_config.path", "/dev/stdout"},
		{"access log of a variable", "listener", manages(`"access_log":[{"name":"x","typed_config":{"@type":"` + types + `access_loggers.stream.v3.StdoutAccessLog","log_format":{"json_format":{"a":["%ENVIRONMENT(TOKEN)%"]}}}}]`), "json_format", "%ENVIRONMENT%"},
		{"access log by gRPC", "listener", manages(`"access_log":[{"name":"x","typed_config":{"@type":"` + types + `access_loggers.grpc.v3.HttpGrpcAccessLogConfig"}}]`), "access_log[0].typed_config.@type", "not on the list"},
		{"header of a variable", "listener", routesTo(`"route":{"cluster":"` + service + `"},"response_headers_to_add":[{"header":{"key":"x","value":"%environment(TOKEN)%"}}]`), "header.value", "%ENVIRONMENT%"},
		{"answer from a file", "listener", routesTo(`"direct_response":{"status":200,"body":{"filename":"/etc/passwd"}}`), "direct_response.body.filename", "inline"},
		{"route to the admin interface", "listener", routesTo(`"route":{"cluster":"epic-admin"}`), "route.cluster", "no cluster"},
		{"weighted route to the xDS server", "listener", routesTo(`"route":{"weighted_clusters":{"clusters":[{"name":"epic-xds","weight":1}]}}`), "weighted_clusters.clusters[0].name", "no cluster"},
		{"route by header", "listener", routesTo(`"route":{"cluster_header":"x-cluster"}`), "route.cluster_header", "can't select its cluster"},
		{"mirror elsewhere", "listener", routesTo(`"route":{"cluster":"` + service + `","request_mirror_policies":[{"cluster":"epic-xds"}]}`), "request_mirror_policies[0].cluster", "no cluster"},
		{"route by plugin", "listener", routesTo(`"route":{"cluster_specifier_plugin":"x"}`), "cluster_specifier_plugin", "extension"},
		{"TCP to the xDS server", "listener", filtered(`{"@type":"` + types + `filters.network.tcp_proxy.v3.TcpProxy","stat_prefix":"x","cluster":"epic-xds"}`), "typed_config.cluster", "no cluster"},
		{"TCP tunnel", "listener", filtered(`{"@type":"` + types + `filters.network.tcp_proxy.v3.TcpProxy","stat_prefix":"x","cluster":"` + service + `","tunneling_config":{"hostname":"x:1"}}`), "tunneling_config", "cluster"},
		{"clusters on demand", "listener", filtered(`{"@type":"` + types + `filters.network.tcp_proxy.v3.TcpProxy","stat_prefix":"x","cluster":"` + service + `","on_demand":{}}`), "on_demand", "not served"},
		{"key set from elsewhere", "listener", httpFilter(`{"@type":"` + types + `filters.http.jwt_authn.v3.JwtAuthentication","providers":{"a":{"remote_jwks":{"http_uri":{"uri":"http://169.254.169.254","cluster":"epic-admin","timeout":"1s"}}}}}`), "http_uri.cluster", "no cluster"},
		{"key set from a file", "listener", httpFilter(`{"@type":"` + types + `filters.http.jwt_authn.v3.JwtAuthentication","providers":{"a":{"local_jwks":{"filename":"/x"}}}}`), "local_jwks.filename", "inline"},
		{"listener on another address", "listener", `{"name":"x","address":{"socket_address":{"address":"192.0.2.99","port_value":{{.Port}}}}}`, "address", "not an address of the proxy"},
		{"another address beside", "listener", listens(`"additional_addresses":[{"address":{"socket_address":{"address":"127.0.0.1","port_value":{{.Port}}}}}]`), "additional_addresses[0].address", "not an address of the proxy"},
		{"listener on another port", "listener", `{"name":"x","address":{"socket_address":{"address":"0.0.0.0","port_value":22}}}`, "address", "{{.Port}}"},
		{"listener on a pipe", "listener", `{"name":"x","address":{"pipe":{"path":"/run/x"}}}`, "address.pipe", "socket of the gateway"},
		{"listener by name", "listener", `{"name":"x","address":{"socket_address":{"address":"localhost","port_value":{{.Port}}}}}`, "address", "not an IP address"},
		{"listener in another namespace", "listener", `{"name":"x","address":{"socket_address":{"address":"0.0.0.0","port_value":{{.Port}},"network_namespace_filepath":"/proc/1/ns/net"}}}`, "network_namespace_filepath", "file"},
		{"internal listener", "listener", `{"name":"x","internal_listener":{}}`, "internal_listener", "own addresses"},
		{"API listener", "listener", listens(`"api_listener":{}`), "api_listener", "own addresses"},
		{"original destination", "listener", listens(`"use_original_dst":true`), "use_original_dst", "own addresses"},
		{"original destination filter", "listener", listens(`"listener_filters":[{"name":"x","typed_config":{"@type":"` + types + `filters.listener.original_dst.v3.OriginalDst"}}]`), "listener_filters[0].typed_config.@type", "not endpoints"},
		{"transparent", "listener", listens(`"transparent":true`), "transparent", "own addresses"},
		{"socket options", "listener", listens(`"socket_options":[{"level":1,"name":36,"int_value":1}]`), "socket_options", "packets"},
		{"unknown field", "listener", listens(`"listen_everywhere":true`), "", "listen_everywhere"},
		{"static cluster elsewhere", "cluster", `{"name":"{{.ClusterName}}","type":"STATIC","load_assignment":{"cluster_name":"x","endpoints":[{"lb_endpoints":[{"endpoint":{"address":{"socket_address":{"address":"169.254.169.254","port_value":80}}}}]}]}}`, "lb_endpoints[0].endpoint.address", "not an endpoint of the proxy"},
		{"cluster to a pipe", "cluster", `{"name":"{{.ClusterName}}","type":"STATIC","load_assignment":{"cluster_name":"x","endpoints":[{"lb_endpoints":[{"endpoint":{"address":{"pipe":{"path":"/run/x"}}}}]}]}}`, "endpoint.address", "not an endpoint of the proxy"},
		{"cluster by name", "cluster", `{"name":"{{.ClusterName}}","type":"STRICT_DNS"}`, "type", "EDS"},
		{"cluster by a logical name", "cluster", `{"name":"{{.ClusterName}}","type":"LOGICAL_DNS"}`, "type", "EDS"},
		{"original destination cluster", "cluster", `{"name":"{{.ClusterName}}","type":"ORIGINAL_DST"}`, "type", "EDS"},
		{"cluster of an extension", "cluster", `{"name":"{{.ClusterName}}","cluster_type":{"name":"x"}}`, "cluster_type", "EDS"},
		{"cluster of another name", "cluster", `{"name":"epic-admin","type":"EDS"}`, "name", "{{.ClusterName}}"},
		{"endpoints of another cluster", "cluster", `{` + edsCluster + `,"eds_cluster_config":{"service_name":"other"}}`, "service_name", "own name"},
		{"endpoints from another server", "cluster", `{` + edsCluster + `,"eds_cluster_config":{"eds_config":{"api_config_source":{"api_type":"REST","cluster_names":["x"]}}}}`, "api_config_source", "operator only"},
		{"source address", "cluster", `{` + edsCluster + `,"upstream_bind_config":{"source_address":{"address":"10.0.0.1","port_value":0}}}`, "upstream_bind_config", "packets"},
		{"load reports", "cluster", `{` + edsCluster + `,"lrs_server":{"self":{}}}`, "lrs_server", "not served"},
		{"health events to a file", "cluster", `{` + edsCluster + `,"health_checks":[{"timeout":"1s","interval":"1s","unhealthy_threshold":1,"healthy_threshold":1,"tcp_health_check":{},"event_log_path":"/x"}]}`, "event_log_path", "file"},
		{"health check of an extension", "cluster", `{` + edsCluster + `,"health_checks":[{"timeout":"1s","interval":"1s","unhealthy_threshold":1,"healthy_threshold":1,"custom_health_check":{"name":"x"}}]}`, "custom_health_check", "extension"},
		{"transport socket", "cluster", `{` + edsCluster + `,"transport_socket":{"name":"x","typed_config":{"@type":"` + types + `transport_sockets.tap.v3.Tap"}}}`, "transport_socket.typed_config.@type", "copies"},
		{"bad value", "cluster", `{` + edsCluster + `,"lb_policy":"BEST"}`, "", "BEST"},
		{"admin", "cluster", `{"admin":{"address":{"socket_address":{"address":"0.0.0.0","port_value":1}}}}`, "", "admin"},

		{"endless numbers", "listener", `{{range 1000000000000}}{{end}}`, "", "steps"},
		{"nested loops", "listener", `{{range 1000000}}{{range 1000000}}{{end}}{{end}}`, "", "steps"},
		{"recursion", "listener", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, "", "deep"},
		{"doubling recursion", "listener", doubling(), "", "steps"},
		{"4 MiB", "listener", `{{range 100000}}# a line that is somewhat longer than others, for a comment{{"\n"}}{{end}}`, "", "bytes"},
		{"doubled text", "listener", `{{$x := "aaaaaaaaaaaaaaaa"}}{{range 60}}{{$x = print $x $x}}{{end}}`, "", "bytes"},
		{"doubled by printf", "listener", `{{$x := "aaaaaaaaaaaaaaaa"}}{{range 60}}{{$x = printf "%[1]s%[1]s" $x}}{{end}}`, "", "bytes"},
		{"wide printf", "listener", `{{printf "%999999d" 1}}`, "", "1000"},
		{"whole object", "listener", `{{.Routes}}`, "", "fields"},
		{"address of memory", "listener", `{{printf "%p" .Routes}}`, "", "prints a value"},
		{"unknown function", "listener", `{{env "HOME"}}`, "", "env"},
		{"unknown parameter", "listener", `{{.Secrets}}`, "", "Secrets"},
		{"aliases", "listener", "a: &a [1,2]\nb: *a", "", "refers"},
		{"two documents", "listener", "name: a\n---\nname: b", "", "document"},
		{"a list", "listener", "[]", "", "not an object"},
		{"garbage", "listener", "{{.Port}", "", "parse"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := spec()
			field := "listeners[0]"
			if tt.kind == "cluster" {
				field = "clusters[0]"
				s.EnvoyResources.Clusters[0].Value = tt.value
			} else {
				s.EnvoyResources.Listeners[0].Value = tt.value
			}
			in := gatewayInput(s)
			in.Limits = DefaultLimits
			in.Limits.Time = time.Minute
			r, problems := Render(t.Context(), in)
			if r != nil {
				t.Fatal("it is accepted")
			}
			for _, p := range problems {
				if p.Reason == ReasonRefused && strings.Contains(p.Field, field) && strings.Contains(p.Field, tt.field) && strings.Contains(p.Message, tt.rule) {
					return
				}
			}
			t.Errorf("got %v, want a refusal of %q that says %q", problems, tt.field, tt.rule)
		})
	}
}

// doubling uses two templates in each of many.
func doubling() string {
	var b strings.Builder
	for i := range 60 {
		fmt.Fprintf(&b, `{{define "t%d"}}{{template "t%d"}}{{template "t%d"}}{{end}}`, i, i+1, i+1)
	}
	return b.String() + `{{define "t60"}}{{end}}{{template "t0"}}`
}

func TestSecretsOfAnotherNamespace(t *testing.T) {
	s := spec()
	s.EnvoyResources.Secrets = []epicv1.EnvoySecretResource{{Name: "x", Ref: &epicv1.SecretReference{Name: "tls", Namespace: "epic-other"}}}
	r, problems := Render(t.Context(), gatewayInput(s))
	if r != nil || len(problems) != 1 || !strings.Contains(problems[0].Message, "epic-other") || !strings.Contains(problems[0].Field, "secrets[0].ref.namespace") {
		t.Errorf("got %v", problems)
	}
}

// TestNamesOfTheBootstrap: no tenant's name makes a route lead to a cluster of the
// bootstrap.
func TestNamesOfTheBootstrap(t *testing.T) {
	boot := bootstrap.Config{NodeID: "x", NodeCluster: "x", XDSSocket: "xds.sock", AdminSocket: "admin.sock", Metrics: netip.MustParseAddrPort("127.0.0.1:1")}
	text, err := boot.JSON()
	if err != nil {
		t.Fatal(err)
	}
	whole := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(text, whole); err != nil {
		t.Fatal(err)
	}
	for _, c := range whole.StaticResources.Clusters {
		in := loadBalancerInput(spec())
		in.LoadBalancer.Spec.UpstreamClusters = []string{c.Name}
		gw := gatewayInput(spec())
		gw.Routes[1].Spec.TCP.Rules[0].BackendRefs[0].Name = gatewayv1.ObjectName(c.Name)
		for _, v := range []*view{loadBalancerView(&in), gatewayView(&gw)} {
			for i := range v.clusters {
				if v.clusters[i].parameters.ClusterName == c.Name {
					t.Errorf("a tenant's cluster has the name %s", c.Name)
				}
			}
		}
	}
}

func TestTimeIsBounded(t *testing.T) {
	s := spec()
	s.EnvoyResources.Listeners[0].Value = `{{range 1000000000000}}{{end}}`
	in := gatewayInput(s)
	in.Limits = DefaultLimits
	in.Limits.Steps, in.Limits.Time = 1<<62, 50*time.Millisecond
	r, problems := Render(t.Context(), in)
	if r != nil || len(problems) == 0 || !strings.Contains(problems[0].Message, "takes longer than 50ms") {
		t.Errorf("got %v", problems)
	}
}

// FuzzRender: no template makes the renderer fail, and what is refused explains why.
func FuzzRender(f *testing.F) {
	for _, seed := range []string{listenerTemplate, clusterTemplate, listens(`"transparent":true`), "{{range 3}}{{.}}{{end}}", "{{with $x := .Port}}{{break}}{{end}}", "a: {{.PortName}}"} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, cluster, listener string) {
		s := spec()
		s.EnvoyResources.Clusters[0].Value, s.EnvoyResources.Listeners[0].Value = cluster, listener
		in := gatewayInput(s)
		in.Limits = Limits{Time: time.Minute, Output: 64 << 10, Steps: 1000, Text: 64 << 10, Depth: 10}
		r, problems := Render(t.Context(), in)
		if r == nil && len(problems) == 0 {
			t.Error("refused without a reason")
		}
		for _, p := range problems {
			if strings.Contains(p.Message, "renderer fail") {
				t.Error(p.Message)
			}
		}
	})
}

// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validLBServiceGroup() *epic.LBServiceGroup {
	return &epic.LBServiceGroup{
		ObjectMeta: meta("epic-root", "sample", epic.OwningServicePrefixLabel, "default"),
		Spec: epic.LBServiceGroupSpec{
			EnvoyImage:        "quay.io/a/envoy:v1",
			EnvoyReplicaCount: num(1),
			EndpointTemplate:  &epic.DNSEndpoint{DNSName: "{{.PureLBServiceName}}.{{.LBSGName}}.client.acnodal.io", RecordType: "A", RecordTTL: 180},
			EnvoyTemplate: &epic.EnvoyConfigSpec{NodeID: "node", Serialization: epic.SerializationYAML, EnvoyAPI: epic.EnvoyAPIv3, EnvoyResources: epic.EnvoyResources{
				Clusters:  []epic.EnvoyResource{{Name: "cluster", Value: "name: {{.ClusterName}}\n{{range .Endpoints}}- {{.}}\n{{end}}"}},
				Endpoints: []epic.EnvoyResource{{Name: "endpoints", Value: "{{range .Endpoints}}{{.Spec.Port.Protocol | ToUpper}}{{end}}"}},
				Listeners: []epic.EnvoyResource{{Name: "listener", Value: "{{range HTTPRoutes .Routes}}{{if RuleRedirect .}}{{StatusToResponse 301}}{{end}}{{end}}" +
					"{{range TCPRoutes .Routes}}{{RefWeightsTotal .}}{{end}}{{HostnameOrDefault .H}}{{PathTypeExact .P}}{{PathTypePathPrefix .P}}" +
					"{{HeaderTypeExact .T}}{{HeaderTypeRegex .T}}{{DerefStr .S}}{{StripTrailingSlash .S}}{{printf \"%s\" .PortName}}"}},
				Routes:   []epic.EnvoyResource{{Name: "route", Value: "name: {a: [1, 2]}"}},
				Runtimes: []epic.EnvoyResource{{Name: "runtime", Value: `{"a": 1}`}},
				Secrets:  []epic.EnvoySecretResource{{Name: "secret", Ref: &epic.SecretReference{Name: "tls"}}},
			}},
		},
	}
}

func TestLBServiceGroup(t *testing.T) {
	resources := func(f func(*epic.EnvoyResources)) func(*epic.LBServiceGroup) {
		return func(o *epic.LBServiceGroup) { f(&o.Spec.EnvoyTemplate.EnvoyResources) }
	}
	const at = "spec.envoy-template.envoyResources."
	spec := []change[epic.LBServiceGroup]{
		{"no template", func(o *epic.LBServiceGroup) { o.Spec.EnvoyTemplate = nil }, "", ""},
		{"no serialization", func(o *epic.LBServiceGroup) { o.Spec.EnvoyTemplate.Serialization = "" }, "", ""},
		{"5000 replicas", func(o *epic.LBServiceGroup) { o.Spec.EnvoyReplicaCount = num(5000) }, "spec.envoy-replica-count", "from 1 to 100"},
		{"no replicas", func(o *epic.LBServiceGroup) { o.Spec.EnvoyReplicaCount = num(0) }, "spec.envoy-replica-count", "from 1 to 100"},
		{"bad image", func(o *epic.LBServiceGroup) { o.Spec.EnvoyImage = "a\tb" }, "spec.envoy-image", "control"},
		{"unknown serialization", func(o *epic.LBServiceGroup) { o.Spec.EnvoyTemplate.Serialization = "xml" }, "spec.envoy-template.serialization", "use one of json, b64json, yaml"},
		{"unknown Envoy API", func(o *epic.LBServiceGroup) { o.Spec.EnvoyTemplate.EnvoyAPI = "v2" }, "spec.envoy-template.envoyAPI", "use one of v3"},
		{"cluster that does not parse", resources(func(r *epic.EnvoyResources) { r.Clusters[0].Value = "{{.A" }), at + "clusters[0].value", "does not parse as a Go template"},
		{"listener with an unknown function", resources(func(r *epic.EnvoyResources) { r.Listeners[0].Value = "{{Exec .A}}" }), at + "listeners[0].value", `function "Exec" not defined`},
		{"endpoints without an end", resources(func(r *epic.EnvoyResources) { r.Endpoints[0].Value = "{{range .A}}" }), at + "endpoints[0].value", "does not parse"},
		{"route that is no YAML", resources(func(r *epic.EnvoyResources) { r.Routes[0].Value = "a: [" }), at + "routes[0].value", "is not valid yaml"},
		{"runtime that is no JSON", func(o *epic.LBServiceGroup) {
			o.Spec.EnvoyTemplate.Serialization = epic.SerializationJSON
			o.Spec.EnvoyTemplate.EnvoyResources.Routes = nil
			o.Spec.EnvoyTemplate.EnvoyResources.Runtimes[0].Value = "a: 1"
		}, at + "runtimes[0].value", "is not valid json"},
		{"runtime that is no base64", func(o *epic.LBServiceGroup) {
			o.Spec.EnvoyTemplate.Serialization = epic.SerializationB64JSON
			o.Spec.EnvoyTemplate.EnvoyResources.Routes = []epic.EnvoyResource{{Name: "a", Value: "e30="}}
		}, at + "runtimes[0].value", "is not valid b64json"},
		{"a template where none is run", resources(func(r *epic.EnvoyResources) { r.Routes[0].Value = "name: '{{.Not}}'" }), "", ""},
		{"resource without a name", resources(func(r *epic.EnvoyResources) { r.Clusters[0].Name = "" }), at + "clusters[0].name", "Required"},
		{"name twice", resources(func(r *epic.EnvoyResources) { r.Listeners = append(r.Listeners, r.Listeners[0]) }), at + "listeners[1].name", "Duplicate"},
		{"secret's name twice", resources(func(r *epic.EnvoyResources) { r.Secrets = append(r.Secrets, r.Secrets[0]) }), at + "secrets[1].name", "Duplicate"},
		{"secret of no name", resources(func(r *epic.EnvoyResources) { r.Secrets[0].Ref.Name = "a/b" }), at + "secrets[0].ref.name", "lowercase"},
		{"many resources", resources(func(r *epic.EnvoyResources) {
			r.Clusters = times(65, func(i int) epic.EnvoyResource { return epic.EnvoyResource{Name: fmt.Sprint(i)} })
		}), at + "clusters", "more than 64"},
		{"long value", resources(func(r *epic.EnvoyResources) { r.Clusters[0].Value = long(maxResourceValue + 1) }), at + "clusters[0].value", "shorten"},
		{"many long values", resources(func(r *epic.EnvoyResources) {
			r.Clusters = times(5, func(i int) epic.EnvoyResource {
				return epic.EnvoyResource{Name: fmt.Sprint(i), Value: long(maxResourceValue)}
			})
		}), "spec.envoy-template.envoyResources", "shorten them"},
		{"no record", func(o *epic.LBServiceGroup) { o.Spec.EndpointTemplate = nil }, "", ""},
		{"the fields of gateways", func(o *epic.LBServiceGroup) {
			o.Spec.EndpointTemplate.DNSName = "{{.ClusterServiceName}}.{{.ClusterServiceNS}}.{{.Account}}.{{.IPAddress}}.example.com"
		}, "", ""},
		{"name with a function", func(o *epic.LBServiceGroup) { o.Spec.EndpointTemplate.DNSName = `{{printf "%9999999d" 1}}.example.com` }, "spec.endpoint-template.dnsName", "is not allowed: use text and these fields only"},
		{"name that does not parse", func(o *epic.LBServiceGroup) { o.Spec.EndpointTemplate.DNSName = "{{.LBName" }, "spec.endpoint-template.dnsName", "does not parse"},
		{"name that is none", func(o *epic.LBServiceGroup) { o.Spec.EndpointTemplate.DNSName = "{{.LBName}} a" }, "spec.endpoint-template.dnsName", "not a DNS name"},
		{"record of an unknown type", func(o *epic.LBServiceGroup) { o.Spec.EndpointTemplate.RecordType = "A;" }, "spec.endpoint-template.recordType", "use one of"},
		{"record with long labels", func(o *epic.LBServiceGroup) { o.Spec.EndpointTemplate.Labels = map[string]string{"a": long(2000)} }, "spec.endpoint-template.labels[a]", "shorten"},
		{"record with control characters", func(o *epic.LBServiceGroup) {
			o.Spec.EndpointTemplate.ProviderSpecific = []epic.ProviderSpecificProperty{{Name: "a", Value: "b\n"}}
		}, "spec.endpoint-template.providerSpecific[0].value", "control"},
	}
	creations(t, validLBServiceGroup, ValidateLBServiceGroup, append([]change[epic.LBServiceGroup]{
		{"for every account", func(o *epic.LBServiceGroup) { o.Namespace = "epic" }, "", ""},
		{"in another namespace", func(o *epic.LBServiceGroup) { o.Namespace = "default" }, "metadata.namespace", "or in epic"},
		{"dots in the name", func(o *epic.LBServiceGroup) { o.Name = "a.b" }, "metadata.name", "dots"},
		{"no prefix", func(o *epic.LBServiceGroup) { o.Labels = nil }, "metadata.labels[epic.acnodal.io/owning-serviceprefix]", "set the label"},
		{"prefix of no name", func(o *epic.LBServiceGroup) { o.Labels[epic.OwningServicePrefixLabel] = "A_b" }, "metadata.labels[epic.acnodal.io/owning-serviceprefix]", "lowercase"},
	}, spec...))
	updates(t, validLBServiceGroup, ValidateLBServiceGroupUpdate, append([]change[epic.LBServiceGroup]{
		{"another prefix", func(o *epic.LBServiceGroup) { o.Labels[epic.OwningServicePrefixLabel] = "b" }, "metadata.labels[epic.acnodal.io/owning-serviceprefix]", "can't be changed"},
	}, spec...))
	updates(t, validLBServiceGroup, ValidateLBServiceGroupStatusUpdate, []change[epic.LBServiceGroup]{
		{"versions", func(o *epic.LBServiceGroup) { o.Status.ProxySnapshotVersions = map[string]int32{"a": 1} }, "", ""},
		{"odd name", func(o *epic.LBServiceGroup) { o.Status.ProxySnapshotVersions = map[string]int32{"a b": 1} }, "status.proxy-snapshot-versions[a b]", "spaces"},
		{"many versions", func(o *epic.LBServiceGroup) {
			o.Status.ProxySnapshotVersions = map[string]int32{}
			for i := range 10001 {
				o.Status.ProxySnapshotVersions[fmt.Sprint(i)] = 1
			}
		}, "status.proxy-snapshot-versions", "more than 10000"},
	})
}

// What expands to much more than it is must be refused, not expanded.
func TestYAMLBomb(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'l'; c++ {
		bomb += fmt.Sprintf("%c: &%c [", c, c)
		for i := range 9 {
			if i > 0 {
				bomb += ","
			}
			bomb += fmt.Sprintf("*%c", c-1)
		}
		bomb += "]\n"
	}
	o := validLBServiceGroup()
	o.Spec.EnvoyTemplate.EnvoyResources.Routes[0].Value = bomb
	expect(t, ValidateLBServiceGroup(o), "spec.envoy-template.envoyResources.routes[0].value", "refers to another part of the document (*a)")
}

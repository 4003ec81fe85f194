// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/test/tools/helm"
)

// template renders a chart with values.
func template(t *testing.T, chart string, values map[string]any) map[string]map[string]any {
	t.Helper()
	data, err := yaml.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := helm.Template(t, chart, "--values", file)
	if err != nil {
		t.Fatal(err)
	}
	return byName(t, objects)
}

// at returns a part of an object as JSON.
func at(object map[string]any, path ...string) string {
	found, _, err := unstructured.NestedFieldNoCopy(object, path...)
	if err != nil {
		return err.Error()
	}
	data, err := json.Marshal(found)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

type workload struct {
	name, values string
	pod          []string
	replicas     bool
}

var workloads = map[string][]workload{
	"epic": {
		{"Deployment epic-system/epic-apiserver", "apiserver", []string{"spec", "template"}, true},
		{"Deployment epic-system/epic-controller", "controller", []string{"spec", "template"}, true},
		{"Deployment epic-system/epic-operator", "operator", []string{"spec", "template"}, true},
		{"StatefulSet epic-system/epic-etcd", "etcd", []string{"spec", "template"}, false},
		{"DaemonSet epic-node/epic-node", "node", []string{"spec", "template"}, false},
		{"Job epic-system/epic-setup", "setup", []string{"spec", "template"}, false},
		{"Job epic-system/epic-backup", "backup", []string{"spec", "template"}, false},
		{"CronJob epic-system/epic-backup", "backup", []string{"spec", "jobTemplate", "spec", "template"}, false},
		{"CronJob epic-system/epic-etcd-maintenance", "etcdMaintenance", []string{"spec", "jobTemplate", "spec", "template"}, false},
		{"CronJob epic-system/epic-setup", "setup", []string{"spec", "jobTemplate", "spec", "template"}, false},
	},
	"epic-connector": {
		{"Deployment epic-connector/epic-connector", "connector", []string{"spec", "template"}, true},
		{"DaemonSet epic-client/epic-node-client", "node", []string{"spec", "template"}, false},
	},
}

// TestEveryProgram sets every value of every program.
func TestEveryProgram(t *testing.T) {
	for chart, all := range workloads {
		values := map[string]any{"image": map[string]any{"registry": "registry.example:5000", "tag": "v2", "pullPolicy": "Always", "pullSecrets": []any{map[string]any{"name": "registry"}}}}
		if chart == "epic-connector" {
			values["account"], values["cluster"] = "acme", "paris"
		}
		for _, w := range all {
			program := map[string]any{
				"image": map[string]any{"repository": "mirror/" + w.values}, "resources": map[string]any{"requests": map[string]any{"cpu": "7m"}, "limits": map[string]any{"memory": "77Mi"}},
				"nodeSelector": map[string]any{"disk": "fast"}, "tolerations": []any{map[string]any{"key": w.values, "operator": "Exists"}},
				"podAnnotations": map[string]any{"note": w.values}, "extraArgs": []any{"--v=4", "--quoted={\"a\": 1}"},
			}
			if w.replicas {
				program["replicas"] = 5
			}
			if !slices.Contains([]string{"setup", "backup", "etcdMaintenance", "connector"}, w.values) {
				program["priorityClassName"] = "of-" + w.values
			}
			if w.values == "backup" || w.values == "etcdMaintenance" {
				program["enabled"] = true
			} else if w.values != "etcd" {
				program["serviceAccount"] = map[string]any{"annotations": map[string]any{"role": w.values}}
			}
			values[w.values] = program
		}
		objects := template(t, chart, values)
		for _, w := range all {
			o := objects[w.name]
			if o == nil {
				t.Errorf("%s lacks %s", chart, w.name)
				continue
			}
			pod := at(o, w.pod...)
			wants := []string{
				fmt.Sprintf(`"image":"registry.example:5000/mirror/%s:v2"`, w.values), `"imagePullPolicy":"Always"`, `"imagePullSecrets":[{"name":"registry"}]`,
				`"cpu":"7m"`, `"memory":"77Mi"`, `"disk":"fast"`, fmt.Sprintf(`"tolerations":[{"key":"%s","operator":"Exists"}]`, w.values),
				fmt.Sprintf(`"annotations":{"note":"%s"}`, w.values), `"--v=4"`, `"--quoted={\"a\": 1}"`,
			}
			if !slices.Contains([]string{"setup", "backup", "etcdMaintenance", "connector"}, w.values) {
				wants = append(wants, fmt.Sprintf(`"priorityClassName":"of-%s"`, w.values))
			}
			for _, want := range wants {
				if !strings.Contains(pod, want) {
					t.Errorf("%s lacks %s: %s", w.name, want, pod)
				}
			}
			if strings.Contains(pod, "acnodal/") && w.values != "operator" {
				t.Errorf("%s has an image of its own: %s", w.name, pod)
			}
			if w.replicas && at(o, "spec", "replicas") != "5" {
				t.Errorf("%s has %s replicas", w.name, at(o, "spec", "replicas"))
			}
		}
		for name, o := range objects {
			if account, ok := strings.CutPrefix(name, "ServiceAccount "); ok && at(o, "metadata", "annotations") == "null" {
				t.Errorf("The service account %s has no annotation", account)
			}
		}
	}
}

func TestGatewayClusterValues(t *testing.T) {
	server := func(o map[string]map[string]any) string {
		return at(o["Deployment epic-system/epic-apiserver"], "spec")
	}
	setup := func(o map[string]map[string]any) string { return at(o["Job epic-system/epic-setup"], "spec") }
	for name, tc := range map[string]struct {
		values map[string]any
		of     func(map[string]map[string]any) string
		wants  []string
	}{
		"external etcd": {map[string]any{"etcd": map[string]any{"topology": "external", "external": map[string]any{"endpoints": []any{"https://a:2379", "https://b:2379"}, "secretName": "mine"}}}, server,
			[]string{`"--etcd-servers=https://a:2379,https://b:2379"`, `"secretName":"mine"`}},
		"backup of an external etcd": {map[string]any{"backup": map[string]any{"enabled": true, "keep": 3, "schedule": "5 4 * * *"}, "etcd": map[string]any{"topology": "external", "external": map[string]any{"endpoints": []any{"https://a:2379", "https://b:2379"}, "secretName": "mine"}}},
			func(o map[string]map[string]any) string { return at(o["CronJob epic-system/epic-backup"], "spec") },
			[]string{`"--etcd-servers=https://a:2379,https://b:2379"`, `"secretName":"mine"`, `"--backup-keep=3"`, `"schedule":"5 4 * * *"`}},
		"defragmentation of an external etcd": {map[string]any{"etcdMaintenance": map[string]any{"enabled": true, "minFree": 0.25, "schedule": "5 4 * * *"}, "etcd": map[string]any{"topology": "external", "external": map[string]any{"endpoints": []any{"https://a:2379", "https://b:2379"}, "secretName": "mine"}}},
			func(o map[string]map[string]any) string {
				return at(o["CronJob epic-system/epic-etcd-maintenance"], "spec")
			},
			[]string{`"--etcd-servers=https://a:2379,https://b:2379"`, `"secretName":"mine"`, `"--min-free=0.25"`, `"schedule":"5 4 * * *"`}},
		"rotation": {map[string]any{"tunnelKeys": map[string]any{"rotation": "0s"}, "certificates": map[string]any{"source": "cert-manager"}}, func(o map[string]map[string]any) string {
			return at(o["CronJob epic-system/epic-setup"], "spec")
		}, []string{`"--tunnel-key-rotation=0s"`, `"--certificates=false"`}},
		"its volume": {map[string]any{"backup": map[string]any{"enabled": true, "storage": map[string]any{"size": "3Gi", "storageClassName": "slow"}}}, func(o map[string]map[string]any) string {
			return at(o["PersistentVolumeClaim epic-system/epic-backup"], "spec")
		}, []string{`"storage":"3Gi"`, `"storageClassName":"slow"`}},
		"one replica with a volume": {map[string]any{"etcd": map[string]any{"topology": "one-member"}, "apiserver": map[string]any{"replicas": 5}}, server, []string{`"replicas":1,`, `"type":"Recreate"`}},
		"its storage": {map[string]any{"etcd": map[string]any{"topology": "one-member", "storage": map[string]any{"size": "3Gi", "storageClassName": "fast"}}}, func(o map[string]map[string]any) string {
			return at(o["PersistentVolumeClaim epic-system/epic-data"], "spec")
		}, []string{`"storage":"3Gi"`, `"storageClassName":"fast"`}},
		"the members' storage": {map[string]any{"etcd": map[string]any{"storage": map[string]any{"size": "3Gi", "storageClassName": "fast"}}}, func(o map[string]map[string]any) string { return at(o["StatefulSet epic-system/epic-etcd"], "spec") }, []string{`"storage":"3Gi"`, `"storageClassName":"fast"`}},
		"proxies' images":      {map[string]any{"image": map[string]any{"registry": "r.example", "tag": "v3"}}, func(o map[string]map[string]any) string { return at(o["Deployment epic-system/epic-operator"], "spec") }, []string{`"--envoy-image=r.example/acnodal/epic-envoy:v3"`, `"--proxy-image=r.example/acnodal/epic-proxy:v3"`}},
		"a tag of its own": {map[string]any{"image": map[string]any{"tag": "v3"}, "controller": map[string]any{"image": map[string]any{"repository": "acnodal/epic-controller", "tag": "v2"}}}, func(o map[string]map[string]any) string {
			return at(o["Deployment epic-system/epic-controller"], "spec")
		}, []string{`"image":"acnodal/epic-controller:v2"`}},
		"the EPIC object": {map[string]any{"epic": map[string]any{"spec": map[string]any{"service-cidr": "10.96.0.0/16", "base": map[string]any{"gue-port": 1}}}}, func(o map[string]map[string]any) string {
			return at(o["ConfigMap epic-system/epic-setup"], "data", "spec.yaml")
		}, []string{`"base:\n  gue-port: 1\nservice-cidr: 10.96.0.0/16\n"`}},
		"a given authority":    {map[string]any{"certificates": map[string]any{"source": "provided", "caBundle": "-----BEGIN CERTIFICATE-----\nx\n"}}, func(o map[string]map[string]any) string { return at(o["APIService /v1.epic.acnodal.io"], "spec") }, []string{`"caBundle":"LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCngK"`}},
		"without certificates": {map[string]any{"certificates": map[string]any{"source": "provided", "caBundle": "-----BEGIN CERTIFICATE-----"}}, setup, []string{"--certificates=false", "--etcd-members=3"}},
		"cert-manager for one": {map[string]any{"certificates": map[string]any{"source": "cert-manager"}, "etcd": map[string]any{"topology": "one-member"}}, setup, []string{"--certificates=false", "--etcd-members=0"}},
	} {
		t.Run(name, func(t *testing.T) {
			objects := template(t, "epic", tc.values)
			for _, want := range tc.wants {
				if got := tc.of(objects); !strings.Contains(got, want) {
					t.Errorf("There is no %s in %s", want, got)
				}
			}
			if name == "cert-manager for one" && (objects["Certificate epic-system/epic-etcd-peer"] != nil || objects["Certificate epic-system/epic-apiserver"] == nil) {
				t.Error("It has other certificates than the server's")
			}
		})
	}
}

// A Job can't be changed: other values make another Job.
func TestTheJobsName(t *testing.T) {
	name := func(args ...string) string {
		objects, err := helm.Template(t, "epic", args...)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(objects, kind("Job"))
		return objects[i].GetName()
	}
	first := name()
	if again := name(); again != first {
		t.Errorf("The same values give %s and %s", first, again)
	}
	if other := name("--set", "image.tag=v2"); other == first {
		t.Errorf("Another image gives the same name, %s", other)
	}
}

func TestClientClusterValues(t *testing.T) {
	objects := template(t, "epic-connector", map[string]any{
		"account": "acme", "cluster": "paris", "group": "web", "formerClusters": []any{"lutetia", "rome"}, "gatewayClass": map[string]any{"name": "public"},
		"credential": map[string]any{"kubeconfig": "the file", "expires": "2026-01-02T03:04:05Z"},
	})
	for _, want := range []struct {
		name, want string
		path       []string
	}{
		{"Deployment epic-connector/epic-connector", `"--service-group=web"`, []string{"spec"}},
		{"Deployment epic-connector/epic-connector", `"--former-clusters=lutetia,rome"`, []string{"spec"}},
		{"GatewayClass /public", `{"group":"epic.acnodal.io","kind":"LBServiceGroup","name":"web"}`, []string{"spec", "parametersRef"}},
		{"ConfigMap epic-client/epic-node-client", `{"ACCOUNT_NAMESPACE":"epic-acme","CLUSTER":"paris"}`, []string{"data"}},
		{"Secret epic-connector/epic-kubeconfig", `{"kubeconfig":"dGhlIGZpbGU="}`, []string{"data"}},
	} {
		if got := at(objects[want.name], want.path...); !strings.Contains(got, want.want) {
			t.Errorf("%s has %s, want %s", want.name, got, want.want)
		}
	}
	if objects := template(t, "epic-connector", map[string]any{"account": "acme", "cluster": "paris", "gatewayClass": map[string]any{"create": false}}); objects["Secret epic-connector/epic-kubeconfig"] != nil || objects["GatewayClass /epic"] != nil {
		t.Error("It has a Secret without a credential, or a GatewayClass that nobody wants")
	}
}

// TestRefusals: values that can't work are refused with their place and the rule.
func TestRefusals(t *testing.T) {
	connected := "account=acme,cluster=paris"
	for chart, refusals := range map[string]map[string]string{
		"epic": {
			"apiserver.replica=2":                    "'/apiserver': additional properties 'replica' not allowed",
			"etcd.topology=two":                      "'/etcd/topology': value must be one of 'three-members', 'one-member', 'external'",
			"etcd.topology=external":                 "'/etcd/external/endpoints': minItems: got 0, want 1",
			"etcd.external.endpoints={etcd:2379}":    "'/etcd/external/endpoints/0': 'etcd:2379' does not match pattern '^https?://",
			"certificates.source=letsencrypt":        "'/certificates/source': value must be one of 'self-signed', 'cert-manager', 'provided'",
			"certificates.source=provided":           "'/certificates/caBundle': '' does not match pattern '-----BEGIN CERTIFICATE-----'",
			"apiserver.replicas=0":                   "'/apiserver/replicas': minimum: got 0, want 1",
			"apiserver.replicas=many":                "'/apiserver/replicas': got string, want integer",
			"apiserver.image.repository=a:b":         "'/apiserver/image/repository': 'a:b' does not match pattern",
			"controller.extraArgs={v}":               "'/controller/extraArgs/0': 'v' does not match pattern '^--'",
			"etcd.storage.size=much":                 "'/etcd/storage/size'",
			"node.tolerations[0].operator=Sometimes": "'/node/tolerations/0/operator': value must be one of 'Exists', 'Equal'",
			"backup.keep=0":                          "'/backup/keep': minimum: got 0, want 1",
			"backup.schedule=daily":                  "'/backup/schedule': 'daily' does not match pattern",
			"tunnelKeys.rotation=monthly":            "'/tunnelKeys/rotation': 'monthly' does not match pattern",
			"image.registry=r/":                      "'/image/registry': 'r/' does not match pattern",
			"unknown=1":                              "'': additional properties 'unknown' not allowed",
		},
		"epic-connector": {
			"cluster=paris":                      "'/account': '' does not match pattern",
			"account=acme":                       "'/cluster': '' does not match pattern",
			"account=Acme,cluster=paris":         "'/account': 'Acme' does not match pattern",
			connected + ",group=Web":             "'/group': 'Web' does not match pattern",
			connected + ",formerClusters={a.b}":  "'/formerClusters/0': 'a.b' does not match pattern",
			connected + ",connector.replicas=-1": "'/connector/replicas': minimum: got -1, want 1",
			connected + ",operator.replicas=1":   "'': additional properties 'operator' not allowed",
		},
	} {
		for set, want := range refusals {
			if _, err := helm.Template(t, chart, "--set", set); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s --set %s: %v, want %s", chart, set, err, want)
			}
		}
	}
}

// TestTheSchemaHasEveryValue compares values.yaml, which documents the values, with the schema.
func TestTheSchemaHasEveryValue(t *testing.T) {
	for chart := range workloads {
		folder := filepath.Join(helm.Root(), "artifacts/charts", chart)
		var values, schema map[string]any
		for file, into := range map[string]*map[string]any{"values.yaml": &values, "values.schema.json": &schema} {
			data, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.UnmarshalStrict(data, into); err != nil {
				t.Fatal(err)
			}
		}
		var compare func(path string, values, schema map[string]any)
		defs, _ := schema["$defs"].(map[string]any)
		compare = func(path string, values, of map[string]any) {
			if ref, ok := of["$ref"].(string); ok {
				of = defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
			}
			properties, ok := of["properties"].(map[string]any)
			if !ok || of["additionalProperties"] != false {
				return
			}
			for key, property := range properties {
				value, documented := values[key]
				// Helm gives every chart this one. Resources are Kubernetes'.
				if !documented && key != "global" && !strings.HasSuffix(path, ".resources") {
					t.Errorf("%s: values.yaml lacks %s.%s", chart, path, key)
				}
				if below, ok := value.(map[string]any); ok {
					compare(path+"."+key, below, property.(map[string]any))
				}
			}
		}
		compare("", values, schema)
	}
}

func TestLint(t *testing.T) {
	for chart, set := range map[string]string{"epic": "monitoring.enabled=true", "epic-connector": "account=acme,cluster=paris,monitoring.enabled=true"} {
		out, err := helm.Run(t, "lint", "--strict", filepath.Join(helm.Root(), "artifacts/charts", chart), "--set", set)
		if err != nil || !strings.Contains(out, "0 chart(s) failed") {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// An audit policy of one's own replaces the one that ships, and comes with a new name of its
// ConfigMap, so the server starts again with it.
func TestAuditPolicy(t *testing.T) {
	names := map[string]bool{}
	for _, policy := range []string{"", "rules:\n- level: RequestResponse\n", "rules:\n- level: None\n"} {
		objects, err := helm.Template(t, "epic", "--set", "audit.enabled=true", "--set", "audit.policy="+policy)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			if o.GetKind() != "ConfigMap" || !strings.HasPrefix(o.GetName(), "epic-audit-policy-") {
				continue
			}
			names[o.GetName()] = true
			text, _, _ := unstructured.NestedString(o.Object, "data", "policy.yaml")
			if policy != "" && text != policy || policy == "" && !strings.Contains(text, "level: Metadata") {
				t.Errorf("With the policy %q the server gets %q", policy, text)
			}
		}
	}
	if len(names) != 3 {
		t.Errorf("The ConfigMaps are %v", names)
	}
}

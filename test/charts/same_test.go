// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/test/tools/helm"
	"github.com/acnodal/epic/test/tools/manifest"
)

// kustomized builds kustomizations of artifacts/install.
func kustomized(t *testing.T, folders ...string) []*unstructured.Unstructured {
	t.Helper()
	dir := t.TempDir()
	// An overlay has its components next to its resources.
	resources, components := []string{}, []string{}
	for _, folder := range folders {
		path, err := filepath.Rel(dir, filepath.Join(helm.Root(), "artifacts/install", folder))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(folder, "components/") {
			components = append(components, path)
			continue
		}
		resources = append(resources, path)
	}
	text, err := json.Marshal(map[string]any{"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources, "components": components})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := built.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects, err := manifest.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// hashes are those that kustomize and the charts append to names. They are of other content.
var hashes = regexp.MustCompile(`\b(epic-(?:node-client|audit-policy)-[a-z0-9]{10}|epic-(?:setup|backup)-[0-9a-f]{8})\b`)

// byName indexes objects. It removes what only Helm needs: that it keeps an object.
func byName(t *testing.T, objects []*unstructured.Unstructured) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	for _, u := range objects {
		annotations := u.GetAnnotations()
		delete(annotations, "helm.sh/resource-policy")
		if len(annotations) == 0 {
			annotations = nil
		}
		u.SetAnnotations(annotations)
		data, err := json.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		data = hashes.ReplaceAllFunc(data, func(name []byte) []byte {
			return name[:strings.LastIndexByte(string(name), '-')]
		})
		var object map[string]any
		if err := json.Unmarshal(data, &object); err != nil {
			t.Fatal(err)
		}
		name := u.GetKind() + " " + u.GetNamespace() + "/" + hashes.ReplaceAllStringFunc(u.GetName(), func(s string) string { return s[:strings.LastIndexByte(s, '-')] })
		if all[name] != nil {
			t.Errorf("There are two of %s", name)
		}
		all[name] = object
	}
	return all
}

// same fails for each object that differs.
func same(t *testing.T, got, want map[string]map[string]any) {
	t.Helper()
	for name, object := range want {
		if got[name] == nil {
			t.Errorf("The chart lacks %s", name)
		} else if !reflect.DeepEqual(got[name], object) {
			a, _ := yaml.Marshal(got[name])
			b, _ := yaml.Marshal(object)
			t.Errorf("%s differs: the chart has\n%s\nthe kustomization\n%s", name, a, b)
		}
	}
	for name := range got {
		if want[name] == nil {
			t.Errorf("Only the chart has %s", name)
		}
	}
}

// setupArguments changes those of the setup's kustomization, which are for three members.
func setupArguments(t *testing.T, objects []*unstructured.Unstructured, members int, certificates bool) {
	t.Helper()
	for _, u := range objects {
		for kind, path := range map[string][]string{"Job": {"spec", "template", "spec", "containers"}, "CronJob": {"spec", "jobTemplate", "spec", "template", "spec", "containers"}} {
			if u.GetKind() != kind {
				continue
			}
			containers, _, err := unstructured.NestedSlice(u.Object, path...)
			if err != nil {
				t.Fatal(err)
			}
			args := containers[0].(map[string]any)["args"].([]any)
			for i, arg := range args {
				if arg == "--etcd-members=3" {
					args[i] = fmt.Sprintf("--etcd-members=%d", members)
				}
				if arg == "--certificates=true" {
					args[i] = fmt.Sprintf("--certificates=%t", certificates)
				}
			}
			if err := unstructured.SetNestedSlice(u.Object, containers, path...); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// without drops objects by kind or by namespace.
func without(objects []*unstructured.Unstructured, drop func(*unstructured.Unstructured) bool) []*unstructured.Unstructured {
	return slices.DeleteFunc(objects, drop)
}

func kind(name string) func(*unstructured.Unstructured) bool {
	return func(u *unstructured.Unstructured) bool { return u.GetKind() == name }
}

func TestGatewayCluster(t *testing.T) {
	const one, three, external = "overlays/one-member", "overlays/three-members", "overlays/external-etcd"
	endpoint := "etcd.external.endpoints={https://etcd.example:2379}"
	for name, tc := range map[string]struct {
		set          []string
		folders      []string
		members      int
		certificates bool
		drop         func(*unstructured.Unstructured) bool
	}{
		"the default":       {nil, []string{three, "setup", "node", "operator"}, 3, true, nil},
		"one member":        {[]string{"etcd.topology=one-member"}, []string{one, "setup", "node", "operator"}, 0, true, nil},
		"external etcd":     {[]string{"etcd.topology=external", endpoint}, []string{external, "setup", "node", "operator"}, 0, true, nil},
		"cert-manager":      {[]string{"certificates.source=cert-manager"}, []string{"overlays/cert-manager", "setup", "node", "operator"}, 3, false, nil},
		"monitoring":        {[]string{"monitoring.enabled=true"}, []string{three, "setup", "node", "operator", "monitoring"}, 3, true, nil},
		"only the server":   {[]string{"node.enabled=false", "operator.enabled=false"}, []string{three, "setup"}, 3, true, nil},
		"no network policy": {[]string{"networkPolicies.enabled=false"}, []string{three, "setup", "node", "operator"}, 3, true, kind("NetworkPolicy")},
		"backup":            {[]string{"backup.enabled=true"}, []string{three, "setup", "node", "operator", "backup"}, 3, true, nil},
		"defragmentation":   {[]string{"etcdMaintenance.enabled=true"}, []string{three, "setup", "node", "operator", "etcd-maintenance"}, 3, true, nil},
		"audit":             {[]string{"audit.enabled=true"}, []string{three, "components/audit", "setup", "node", "operator"}, 3, true, nil},
		"embedded backup":   {[]string{"backup.enabled=true", "etcd.topology=one-member"}, []string{one, "components/backup-embedded", "setup", "node", "operator"}, 0, true, nil},
		"in its namespace": {nil, []string{three, "setup", "node", "operator"}, 3, true, func(u *unstructured.Unstructured) bool {
			return u.GetKind() == "Namespace" && u.GetName() == "epic-system"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{}
			for _, value := range tc.set {
				args = append(args, "--set", value)
			}
			if name == "in its namespace" {
				args = append(args, "--namespace", "epic-system")
			}
			got, err := helm.Template(t, "epic", args...)
			if err != nil {
				t.Fatal(err)
			}
			want := kustomized(t, tc.folders...)
			setupArguments(t, want, tc.members, tc.certificates)
			if tc.drop != nil {
				want = without(want, tc.drop)
			}
			same(t, byName(t, got), byName(t, want))
		})
	}
}

func TestClientCluster(t *testing.T) {
	for name, tc := range map[string]struct{ set, folders []string }{
		"the default": {nil, []string{"connector"}},
		"monitoring":  {[]string{"--set", "monitoring.enabled=true"}, []string{"connector", "monitoring-client"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := helm.Template(t, "epic-connector", append([]string{"--set", "account=NAME,cluster=default", "--skip-schema-validation"}, tc.set...)...)
			if err != nil {
				t.Fatal(err)
			}
			same(t, byName(t, got), byName(t, kustomized(t, tc.folders...)))
		})
	}
}

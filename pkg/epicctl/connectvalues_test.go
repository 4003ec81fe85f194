// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/acnodal/epic/test/tools/helm"
	"github.com/acnodal/epic/test/tools/manifest"
)

// The chart with the values that epicctl prints installs what the manifest that it prints
// has, object by object.
func TestConnectHelmValues(t *testing.T) {
	i := install(t)
	givesTokens(i.beside())
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fillGroup(t, "acme", "web")
	// The names have hashes of the same content, made by different functions, and the
	// tokens were asked for one after the other.
	varying := regexp.MustCompile(`(epic-node-client)-[a-z0-9]{10}\b|"epic.acnodal.io/credential-expires":"[^"]*"`)
	index := func(objects []*unstructured.Unstructured) map[string]string {
		all := map[string]string{}
		for _, o := range objects {
			annotations := o.GetAnnotations()
			delete(annotations, "helm.sh/resource-policy")
			if len(annotations) == 0 {
				annotations = nil
			}
			o.SetAnnotations(annotations)
			data, err := json.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), varying.ReplaceAllString(o.GetName(), "$1"))
			all[name] = varying.ReplaceAllString(string(data), "$1")
		}
		return all
	}
	for name, args := range map[string][]string{
		"plain":      nil,
		"images":     {"--image", "registry.example:5000/connector:v1", "--node-image", "node:v1"},
		"monitoring": {"--monitoring"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"connect", "--account", "acme", "--cluster", "paris"}, args...)
			printed := i.run(t, args...)
			printed.want(t, ExitOK, "Give the manifest, with a credential")
			values := i.run(t, append(args, "--output", "helm-values")...)
			values.want(t, ExitOK, "helm install epic-connector epic-connector --values FILE")
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(values.stdout), 0o600); err != nil {
				t.Fatal(err)
			}
			objects, err := helm.Template(t, "epic-connector", "--values", file)
			if err != nil {
				t.Fatal(err)
			}
			shipped, err := manifest.Parse([]byte(printed.stdout))
			if err != nil {
				t.Fatal(err)
			}
			got, want := index(objects), index(shipped)
			for name := range want {
				if got[name] != want[name] {
					t.Errorf("%s: the chart has\n%s\nthe manifest\n%s", name, got[name], want[name])
				}
			}
			if len(got) != len(want) {
				t.Errorf("The chart has %d objects, the manifest %d", len(got), len(want))
			}
		})
	}
	for _, args := range [][]string{{"--output", "json"}, {"--output", "helm-values", "--image", "a@sha256:0"}} {
		i.run(t, append([]string{"connect", "--account", "acme", "--cluster", "paris"}, args...)...).want(t, ExitUsage, "--output")
	}
}

func TestHelmImage(t *testing.T) {
	for image, want := range map[string]string{
		"connector": "map[repository:connector]", "connector:v1": "map[repository:connector tag:v1]",
		"r.example:5000/connector": "map[repository:r.example:5000/connector]", "r.example:5000/a/b:v1": "map[repository:r.example:5000/a/b tag:v1]",
	} {
		if got := fmt.Sprint(helmImage(image)); got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}

// A release's epicctl installs that release, unless somebody names an image.
func TestConnectInstallsTheRelease(t *testing.T) {
	for name, test := range map[string]struct {
		in    connectorInstall
		wants []string
	}{
		"a working tree": {connectorInstall{}, []string{"acnodal/epic-connector:dev", "acnodal/epic-node:dev"}},
		"a release":      {connectorInstall{tag: "v1.2.3"}, []string{"acnodal/epic-connector:v1.2.3", "acnodal/epic-node:v1.2.3"}},
		"another image":  {connectorInstall{tag: "v1.2.3", image: "acnodal/epic-connector:v9"}, []string{"acnodal/epic-connector:v9", "acnodal/epic-node:v1.2.3"}},
	} {
		in := test.in
		in.account, in.cluster, in.group = "acme", "paris", "web"
		manifest, err := connectorManifest(in)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range test.wants {
			if !strings.Contains(string(manifest), "image: "+want+"\n") {
				t.Errorf("%s: there is no image %s", name, want)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The server takes the manifests with cert-manager's kinds as they are, with no
// field that it does not know; and whatever secret the pods mount is one that
// cert-manager makes.
func TestCertManagerOverlay(t *testing.T) {
	c := epic(t)
	const certManager = "artifacts/install/overlays/cert-manager"
	list := exec.CommandContext(t.Context(), "go", "list", "-C", filepath.Join(root, "test/e2e/certmanager"),
		"-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager")
	dir, err := list.Output()
	if err != nil {
		t.Fatalf("%s: %v", list, err)
	}
	definitions := filepath.Join(strings.TrimSpace(string(dir)), "deploy/crds")
	existed := strings.Contains(c.run(t, "get", "crds", "-o", "name"), "certificates.cert-manager.io")
	if !existed {
		c.run(t, "apply", "--server-side", "-f", definitions)
		t.Cleanup(func() { c.run(t, "delete", "-f", definitions, "--wait=false") })
		c.run(t, "wait", "--for=condition=Established", "--timeout=30s", "crds", "--all")
	}
	// kubectl learns of new kinds a moment later.
	var out string
	eventually(t, 30*time.Second, func() string {
		out, err = c.try("", "apply", "--dry-run=server", "--validate=strict", "-k", certManager)
		if err != nil && strings.Contains(out, "no matches for kind") {
			return out
		}
		return ""
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wants(t, "the dry run", out, "certificate.cert-manager.io/epic-apiserver created", "issuer.cert-manager.io/epic-etcd-ca created")

	var made, mounted []string
	// One object after the other, each as JSON.
	objects := json.NewDecoder(strings.NewReader(c.run(t, "create", "--dry-run=client", "-o", "json", "-k", certManager)))
	for objects.More() {
		var o struct {
			Kind string
			Spec struct {
				SecretName string
				Template   struct {
					Spec struct {
						Volumes []struct{ Secret struct{ SecretName string } }
					}
				}
			}
		}
		if err := objects.Decode(&o); err != nil {
			t.Fatal(err)
		}
		if o.Kind == "Certificate" {
			made = append(made, o.Spec.SecretName)
		}
		for _, v := range o.Spec.Template.Spec.Volumes {
			if v.Secret.SecretName != "" {
				mounted = append(mounted, v.Secret.SecretName)
			}
		}
	}
	if len(mounted) < 4 {
		t.Errorf("The pods mount %v only", mounted)
	}
	for _, name := range mounted {
		// No certificate: hack/tunnel-keys.sh makes it.
		if name == "epic-tunnel-keys" {
			continue
		}
		if !slices.Contains(made, name) {
			t.Errorf("No certificate makes the secret %s; they make %v", name, made)
		}
	}
}

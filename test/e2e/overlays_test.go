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
	// Nothing else needs this module, so it may not be on this machine yet.
	var module struct{ Dir string }
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-C", filepath.Join(root, "test/e2e/certmanager"), "-json", "github.com/cert-manager/cert-manager")
	out, err := download.Output()
	if err == nil {
		err = json.Unmarshal(out, &module)
	}
	if err != nil || module.Dir == "" {
		t.Fatalf("%s: %v\n%s", download, err, out)
	}
	definitions := filepath.Join(module.Dir, "deploy/crds")
	existed := strings.Contains(c.run(t, "get", "crds", "-o", "name"), "certificates.cert-manager.io")
	if !existed {
		c.run(t, "apply", "--server-side", "-f", definitions)
		t.Cleanup(func() { c.run(t, "delete", "-f", definitions, "--wait=false") })
		c.run(t, "wait", "--for=condition=Established", "--timeout=30s", "crds", "--all")
	}
	// kubectl learns of new kinds a moment later.
	var said string
	eventually(t, 30*time.Second, func() string {
		said, err = c.try("", "apply", "--dry-run=server", "--validate=strict", "-k", certManager)
		if err != nil && strings.Contains(said, "no matches for kind") {
			return said
		}
		return ""
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	wants(t, "the dry run", said, "certificate.cert-manager.io/epic-apiserver created", "issuer.cert-manager.io/epic-etcd-ca created")

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

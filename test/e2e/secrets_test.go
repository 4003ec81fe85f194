// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// secrets are patterns that reveal leaked secret material: what private
// keys and tokens look like, and those that are there.
func (c *cluster) secrets(t *testing.T) []string {
	t.Helper()
	signs := []string{
		"PRIVATE KEY-----",
		// The same in base64, for each kind of key.
		"LS0tLS1CRUdJTiBQUk", "LS0tLS1CRUdJTiBFQyBQ", "LS0tLS1CRUdJTiBSU0EgUFJ",
		// A token's first part: {"alg":
		"eyJhbGciOi",
	}
	signs = append(signs, c.tokens...)
	var list corev1.SecretList
	if err := json.Unmarshal([]byte(c.run(t, "get", "secrets", "-A", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, secret := range list.Items {
		// With these, nodes join a cluster of kubeadm. EPIC has nothing to do with them.
		if secret.Type == corev1.SecretTypeBootstrapToken {
			continue
		}
		for key, value := range secret.Data {
			if strings.HasSuffix(key, ".crt") {
				continue
			}
			// A line of a key, or the key in a line, wherever it is pasted.
			long := 0
			for _, word := range strings.Fields(string(value)) {
				if len(word) >= 20 {
					signs = append(signs, word)
					long++
				}
			}
			if long == 0 {
				t.Fatalf("%s/%s, %s is too short to look for", secret.Namespace, secret.Name, key)
			}
			signs = append(signs, base64.StdEncoding.EncodeToString(value))
		}
	}
	return signs
}

func shows(signs []string, text string) string {
	for _, s := range signs {
		if i := strings.Index(text, s); i >= 0 {
			from := max(0, i-200)
			// Not the secret itself: this goes into a log.
			return strings.ToValidUTF8(text[from:i], "") + "[...]"
		}
	}
	return ""
}

// testNothingSecretShows looks into all that somebody may read who may not read
// secrets.
func (c *cluster) testNothingSecretShows(t *testing.T) {
	c.everything(t, c.account(t, "discreet"))
	signs := c.secrets(t)
	// It finds what it looks for.
	for _, secret := range []string{"epic-apiserver-tls", "epic-etcd-peer-tls"} {
		if shows(signs, c.run(t, "get", "secret", "-n", system, secret, "-o", "yaml")) == "" {
			t.Errorf("The secret %s itself goes unnoticed", secret)
		}
	}
	if len(c.tokens) == 0 || shows(signs, "Bearer "+c.tokens[0]) == "" {
		t.Error("A token goes unnoticed")
	}

	ours := strings.Join(strings.Fields(c.run(t, "api-resources", "--api-group="+group.Group, "--verbs=list", "-o", "name")), ",")
	places := map[string][]string{
		"EPIC's objects": {"get", ours, "-A", "-o", "yaml", "--show-managed-fields"},
		"tables":         {"get", ours, "-A", "-o", "wide"},
		"events":         {"get", "events.events.k8s.io", "-A", "-o", "yaml"},
		// kubeadm signs what it publishes in kube-public.
		"config maps":       {"get", "configmaps", "-A", "--field-selector=metadata.namespace!=kube-public", "-o", "yaml"},
		"programs":          {"get", "pods,deployments,statefulsets,daemonsets,replicasets,services,persistentvolumeclaims", "-A", "-o", "yaml", "--show-managed-fields"},
		"rights":            {"get", "roles,rolebindings,serviceaccounts", "-A", "-o", "yaml"},
		"the API's own":     {"get", "apiservices,clusterroles,clusterrolebindings,namespaces", "-o", "yaml", "--show-managed-fields"},
		"health of EPIC":    {"get", "--raw", "/api/v1/namespaces/" + system + "/services/https:epic-apiserver:443/proxy/readyz?verbose"},
		"EPIC's OpenAPI":    {"get", "--raw", "/openapi/v3/apis/epic.acnodal.io/v1"},
		"leases, if anyone": {"get", "leases", "-A", "-o", "yaml"},
	}
	for what, args := range places {
		if at := shows(signs, c.run(t, args...)); at != "" {
			t.Errorf("Something secret shows in %s, after:\n%s", what, at)
		}
	}
	for _, name := range []string{"epic-apiserver", "epic-controller", "epic-etcd"} {
		for _, pod := range c.pods(t, name) {
			if at := shows(signs, c.logs(pod.Name)); at != "" {
				t.Errorf("Something secret shows in the log of %s, after:\n%s", pod.Name, at)
			}
		}
	}
	if c.local {
		if at := shows(signs, c.ofKubeAPIServer(t)); at != "" {
			t.Errorf("Something secret shows in the kube-apiserver's records, after:\n%s", at)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// record is what counts of an audit record.
type record struct {
	User, As                               string
	Verb, Namespace, Resource, Subresource string
	Name                                   string
	Code                                   int
	Decision                               string
}

// records reads audit records from lines of text, and passes over the rest.
func records(text string) map[record]bool {
	all := map[record]bool{}
	for _, r := range recordList(text) {
		all[r] = true
	}
	return all
}

// recordList is records with duplicates.
func recordList(text string) []record {
	var all []record
	for line := range strings.Lines(text) {
		var e struct {
			Kind             string
			Stage            string
			Verb             string
			User             struct{ Username string }
			ImpersonatedUser struct{ Username string }
			ObjectRef        struct{ APIGroup, Resource, Namespace, Name, Subresource string }
			ResponseStatus   struct{ Code int }
			Annotations      map[string]string
		}
		if json.Unmarshal([]byte(line), &e) != nil || e.Kind != "Event" || e.Stage != "ResponseComplete" || e.ObjectRef.APIGroup != group.Group {
			continue
		}
		all = append(all, record{
			User: e.User.Username, As: e.ImpersonatedUser.Username,
			Verb: e.Verb, Namespace: e.ObjectRef.Namespace, Resource: e.ObjectRef.Resource, Subresource: e.ObjectRef.Subresource,
			Name: e.ObjectRef.Name, Code: e.ResponseStatus.Code, Decision: e.Annotations["authorization.k8s.io/decision"],
		})
	}
	return all
}

// ofKubeAPIServer are the records of the kube-apiserver on this machine.
func (c *cluster) ofKubeAPIServer(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(c.kubeconfig), "log/audit.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (c *cluster) ofEPIC(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, pod := range c.pods(t, "epic-apiserver") {
		all.WriteString(c.run(t, "logs", "--namespace", system, pod.Name))
		all.WriteString("\n")
	}
	return all.String()
}

// testRecords looks for a tenant's requests where they are recorded: what was
// allowed with both servers, what the kube-apiserver refused with that one, and
// what was sent past it with EPIC's.
func (c *cluster) testRecords(t *testing.T) {
	own, other := c.account(t, "recorded"), c.account(t, "unrelated")
	robot := "system:serviceaccount:" + own + ":robot"
	config := c.serviceAccount(t, own, "robot", "epic-tenant-admin")
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	const inside = "not-for-the-records"
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group.String(), "kind": "LoadBalancer", "metadata": map[string]any{"name": "mine"},
		"spec": map[string]any{
			"service-group": "web", "display-name": inside,
			"public-ports": []any{map[string]any{"port": int64(80), "protocol": "TCP", "targetPort": int64(8080)}},
		},
	}}
	lbs := client.Resource(group.WithResource("loadbalancers"))
	if _, err := lbs.Namespace(own).Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := []byte(`{"status":{"display":"` + inside + `"}}`)
	for what, request := range map[string]func() error{
		"get of another's": func() error {
			_, err := lbs.Namespace(other).Get(t.Context(), "guessed", metav1.GetOptions{})
			return err
		},
		"patch of the status": func() error {
			_, err := lbs.Namespace(own).Patch(t.Context(), "mine", types.MergePatchType, patch, metav1.PatchOptions{}, "status")
			return err
		},
	} {
		if request() == nil {
			t.Errorf("The %s worked", what)
		}
	}
	c.run(t, "create", "rolebinding", "-n", own, "alice", "--clusterrole=epic-tenant-viewer", "--user=alice")
	eventually(t, 15*time.Second, func() string {
		if out, err := c.try("", "--as=alice", "get", "-n", own, "loadbalancers.epic.acnodal.io", "mine"); err != nil {
			return out
		}
		return ""
	})
	if err := lbs.Namespace(own).Delete(t.Context(), "mine", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// Past the kube-apiserver: EPIC's server asks who that is, and what it may.
	url := "https://127.0.0.1:" + c.forward(t, "service/epic-apiserver", 443)
	past := rest.CopyConfig(config)
	past.Host = url
	past.TLSClientConfig = rest.TLSClientConfig{Insecure: true}
	direct, err := dynamic.NewForConfig(past)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := direct.Resource(group.WithResource("loadbalancers")).Namespace(other).List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("A tenant that comes past the kube-apiserver reads another's objects")
	}

	of := func(verb, namespace, subresource, name string, code int) record {
		r := record{User: robot, Verb: verb, Namespace: namespace, Resource: "loadbalancers", Subresource: subresource, Name: name, Code: code, Decision: "allow"}
		if code == http.StatusForbidden {
			r.Decision = "forbid"
		}
		return r
	}
	admin := c.run(t, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}")
	allowed := []record{
		of("create", own, "", "mine", http.StatusCreated),
		of("delete", own, "", "mine", http.StatusOK),
	}
	refused := []record{
		of("get", other, "", "guessed", http.StatusForbidden),
		of("patch", own, "status", "mine", http.StatusForbidden),
	}
	check := func(who, text string, there, absent []record) {
		t.Helper()
		found := records(text)
		for _, r := range there {
			if !found[r] {
				t.Errorf("The records of %s lack %+v", who, r)
			}
		}
		for _, r := range absent {
			if found[r] {
				t.Errorf("The records of %s have %+v", who, r)
			}
		}
		if strings.Contains(text, inside) {
			t.Errorf("The records of %s have what is in the objects", who)
		}
		if t.Failed() {
			for r := range found {
				if r.Namespace == own || r.Namespace == other {
					t.Logf("%s: %+v", who, r)
				}
			}
		}
	}
	// The kube-apiserver sees no names in what it passes on.
	passed := []record{of("create", own, "", "", http.StatusCreated), of("delete", own, "", "mine", http.StatusOK)}
	alice := record{Verb: "get", Namespace: own, Resource: "loadbalancers", Name: "mine", Code: http.StatusOK, Decision: "allow"}
	viaKube, viaEPIC := alice, alice
	viaKube.User, viaKube.As = admin, "alice"
	// EPIC's server is told whom the kube-apiserver let somebody be.
	viaEPIC.User = "alice"
	check("EPIC", c.ofEPIC(t), append(allowed, viaEPIC, of("list", other, "", "", http.StatusForbidden)), refused)
	if c.local {
		check("the kube-apiserver", c.ofKubeAPIServer(t), append(append(passed, viaKube), refused...), nil)
	}
}

// serviceAccount makes one that has a role in its namespace, and returns how to
// be it.
func (c *cluster) serviceAccount(t *testing.T, ns, name, role string) *rest.Config {
	t.Helper()
	c.run(t, "create", "serviceaccount", "-n", ns, name)
	c.run(t, "create", "rolebinding", "-n", ns, name, "--clusterrole="+role, "--serviceaccount="+ns+":"+name)
	config := rest.AnonymousClientConfig(c.config(t))
	config.BearerToken = c.run(t, "create", "token", "-n", ns, name)
	config.QPS = -1
	c.tokens = append(c.tokens, config.BearerToken)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	// A binding takes a moment to be known.
	eventually(t, 15*time.Second, func() string {
		if _, err := client.Resource(group.WithResource("loadbalancers")).Namespace(ns).List(t.Context(), metav1.ListOptions{}); err != nil {
			return fmt.Sprintf("%s/%s: %v", ns, name, err)
		}
		return ""
	})
	return config
}

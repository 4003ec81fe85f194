// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
)

// A namespace without an account accepts nothing, and the error names those that would.
func TestOtherNamespaces(t *testing.T) {
	c := epic(t)
	c.account(t, "prefixed")
	const bare = "prefixed"
	c.run(t, "create", "namespace", bare)
	t.Cleanup(func() { c.run(t, "delete", "namespace", bare, "--timeout=1m") })
	account := func(ns, name string) string {
		return fmt.Sprintf("{apiVersion: epic.acnodal.io/v1, kind: Account, metadata: {namespace: %s, name: %s}, spec: {}}", ns, name)
	}
	for what, test := range map[string]struct {
		manifest string
		want     []string
	}{
		"a load balancer without a prefix": {loadBalancer(bare, "x"), []string{"metadata.namespace", "epic-"}},
		"an account without a prefix":      {account(bare, bare), []string{"metadata.namespace", "epic-" + bare}},
		"another's account":                {account("epic-prefixed", "other"), []string{"metadata.name", "prefixed"}},
		"a namespace that is not there":    {loadBalancer("epic-nowhere", "x"), []string{"epic-nowhere", "not found"}},
	} {
		t.Run(what, func(t *testing.T) {
			var out string
			// A namespace that was just made may not be known to every server yet.
			eventually(t, 10*time.Second, func() string {
				out = c.refused(t, test.manifest, "apply", "-f", "-")
				if strings.Contains(out, "not found") && !strings.Contains(test.manifest, "nowhere") {
					return out
				}
				return ""
			})
			wants(t, what, out, test.want...)
		})
	}
	if out := c.run(t, "get", "loadbalancers,accounts", "-n", bare, "-o", "name"); out != "" {
		t.Errorf("Something was made: %s", out)
	}
	c.audited(t)
}

// A namespace that goes while clients fill it goes all the same, and leaves
// nothing behind.
func TestNamespaceDeletedMeanwhile(t *testing.T) {
	c := epic(t)
	ns := c.account(t, "vanishing")
	client, err := dynamic.NewForConfig(c.config(t))
	if err != nil {
		t.Fatal(err)
	}
	lbs := client.Resource(group.WithResource("loadbalancers")).Namespace(ns)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var made atomic.Int64
	var last sync.Map
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, err := lbs.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
					"apiVersion": group.String(), "kind": "LoadBalancer", "metadata": map[string]any{"name": fmt.Sprintf("lb-%d-%d", w, i)},
					"spec": map[string]any{
						"service-group": "web",
						"public-ports":  []any{map[string]any{"port": int64(80), "protocol": "TCP", "targetPort": int64(8080)}},
					},
				}}, metav1.CreateOptions{})
				switch {
				case err == nil:
					made.Add(1)
				case ctx.Err() == nil:
					last.Store(err.Error(), err)
				}
			}
		})
	}
	eventually(t, 30*time.Second, func() string {
		if made.Load() < 20 {
			return "the clients make nothing"
		}
		return ""
	})
	c.run(t, "delete", "namespace", ns, "--timeout=1m")
	cancel()
	wg.Wait()
	last.Range(func(_, value any) bool {
		err, ok := value.(error)
		// The namespace ends, its group or account is gone, or it is gone itself.
		if !ok || !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) && !apierrors.IsConflict(err) {
			t.Errorf("An answer that does not say what is the matter: %v", value)
		}
		return true
	})
	if out := c.run(t, "get", "loadbalancers.epic.acnodal.io", "-A", "-o", "jsonpath={.items[*].metadata.namespace}"); strings.Contains(out, ns) {
		t.Errorf("Left in namespaces %s", out)
	}
	c.audited(t)
}

// Guessing the names of others reveals nothing, because the responses are the
// same whether there is something or not.
func TestGuessing(t *testing.T) {
	c := epic(t)
	own, other := c.account(t, "curious"), c.account(t, "private")
	c.with(t, loadBalancer(other, "there"), "apply", "-f", "-")
	c.with(t, strings.Replace(serviceGroup(other), "name: web", "name: hidden", 1), "apply", "-f", "-")
	c.run(t, "create", "rolebinding", "-n", own, "tenant", "--clusterrole=epic-tenant-admin", "--user=mallory")
	eventually(t, 15*time.Second, func() string {
		if out, err := c.try("", "--as=mallory", "get", "-n", own, "lbservicegroups.epic.acnodal.io"); err != nil {
			return out
		}
		return ""
	})
	guess := func(stdin string, args ...string) string {
		t.Helper()
		return c.refused(t, stdin, append([]string{"--as=mallory"}, args...)...)
	}
	same := func(what, one, two string, names ...string) {
		t.Helper()
		for i := 0; i < len(names); i += 2 {
			two = strings.ReplaceAll(two, names[i+1], names[i])
		}
		if one != two {
			t.Errorf("%s: the answers differ:\n%s\n%s", what, one, two)
		}
	}
	get := func(ns, name string) string { return guess("", "get", "-n", ns, "loadbalancers.epic.acnodal.io", name) }
	same("an object", get(other, "there"), get(other, "absent"), "there", "absent")
	same("a namespace", get(other, "there"), get("epic-nobody", "there"), other, "epic-nobody")
	use := func(group string) string {
		return guess(strings.Replace(loadBalancer(own, "mine"), "service-group: web", "service-group: "+group, 1), "apply", "-f", "-")
	}
	same("another's group", use("hidden"), use("absent"), "hidden", "absent")
	label := func(account string) string {
		return guess(strings.Replace(loadBalancer(own, "mine"), "name: mine}", "name: mine, labels: {epic.acnodal.io/owning-account: "+account+"}}", 1), "apply", "-f", "-")
	}
	same("another's account", label("private"), label("nobody"), "private", "nobody")
}

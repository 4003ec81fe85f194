// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

var group = schema.GroupVersion{Group: "epic.acnodal.io", Version: "v1"}

// kinds of the group, by resource.
var kinds = map[string]string{
	"epics": "EPIC", "accounts": "Account", "serviceprefixes": "ServicePrefix", "lbservicegroups": "LBServiceGroup",
	"loadbalancers": "LoadBalancer", "remoteendpoints": "RemoteEndpoint", "gwproxies": "GWProxy", "gwroutes": "GWRoute",
	"gwendpointslices": "GWEndpointSlice", "gatewaynodes": "GatewayNode",
}

// tenants is what a tenant may write in its own namespace.
var tenants = map[string]bool{
	"loadbalancers": true, "remoteendpoints": true, "gwproxies": true, "gwroutes": true, "gwendpointslices": true,
}

// verbs are requests of each kind, on objects that are not there: a user who may not do
// something learns nothing about what exists.
var verbs = map[string]func(context.Context, dynamic.ResourceInterface, *unstructured.Unstructured) error{
	"get": func(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) error {
		_, err := r.Get(ctx, o.GetName(), metav1.GetOptions{})
		return err
	},
	"list": func(ctx context.Context, r dynamic.ResourceInterface, _ *unstructured.Unstructured) error {
		_, err := r.List(ctx, metav1.ListOptions{})
		return err
	},
	"watch": func(ctx context.Context, r dynamic.ResourceInterface, _ *unstructured.Unstructured) error {
		w, err := r.Watch(ctx, metav1.ListOptions{})
		if err == nil {
			w.Stop()
		}
		return err
	},
	"create": func(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) error {
		_, err := r.Create(ctx, o, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	},
	"update": func(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) error {
		_, err := r.Update(ctx, o, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	},
	"patch": func(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) error {
		_, err := r.Patch(ctx, o.GetName(), types.MergePatchType, []byte(`{"metadata":{"labels":{"x":"y"}}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	},
	"delete": func(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) error {
		return r.Delete(ctx, o.GetName(), metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
	},
	"deletecollection": func(ctx context.Context, r dynamic.ResourceInterface, _ *unstructured.Unstructured) error {
		return r.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}, metav1.ListOptions{})
	},
	"get status": func(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) error {
		_, err := r.Get(ctx, o.GetName(), metav1.GetOptions{}, "status")
		return err
	},
	"get audit":      foreign("audit"),
	"get tunnelkeys": foreign("tunnelkeys"),
	"update status": func(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) error {
		_, err := r.UpdateStatus(ctx, o, metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	},
	"patch status": func(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) error {
		_, err := r.Patch(ctx, o.GetName(), types.MergePatchType, []byte(`{"status":{}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}, "status")
		return err
	},
}

// get of a subresource that is not for tenants.
func foreign(subresource string) func(context.Context, dynamic.ResourceInterface, *unstructured.Unstructured) error {
	return func(ctx context.Context, r dynamic.ResourceInterface, o *unstructured.Unstructured) error {
		_, err := r.Get(ctx, o.GetName(), metav1.GetOptions{}, subresource)
		return err
	}
}

// ownVerbs describes what the role epic-tenant-admin grants.
func ownVerbs(resource, verb string) bool {
	switch verb {
	case "get", "list", "watch":
		return tenants[resource] || resource == "accounts" || resource == "lbservicegroups"
	case "get status":
		return tenants[resource] || resource == "accounts" || resource == "lbservicegroups"
	case "update status", "patch status", "get audit", "get tunnelkeys":
		return false
	}
	return tenants[resource]
}

// TestTenant is somebody who is bound to epic-tenant-admin in one namespace, once
// as a user and once as a service account with a token of its own.
func TestTenant(t *testing.T) {
	c := epic(t)
	for _, resource := range strings.Fields(c.run(t, "api-resources", "--api-group="+group.Group, "--no-headers", "-o", "name")) {
		if kinds[strings.TrimSuffix(resource, "."+group.Group)] == "" {
			t.Errorf("This test does not know %s", resource)
		}
	}
	own, other := c.account(t, "acme"), c.account(t, "globex")
	c.everything(t, other)
	c.run(t, "create", "rolebinding", "-n", own, "tenant", "--clusterrole=epic-tenant-admin", "--user=alice")

	impersonated := c.config(t)
	impersonated.Impersonate = rest.ImpersonationConfig{UserName: "alice", Groups: []string{"system:authenticated"}}
	direct := c.serviceAccount(t, own, "robot", "epic-tenant-admin")

	for who, config := range map[string]*rest.Config{"by impersonation": impersonated, "directly": direct} {
		t.Run(who, func(t *testing.T) {
			client, err := dynamic.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			// A binding takes a moment to be known.
			eventually(t, 15*time.Second, func() string {
				_, err := client.Resource(group.WithResource("loadbalancers")).Namespace(own).List(t.Context(), metav1.ListOptions{})
				if err != nil {
					return err.Error()
				}
				return ""
			})
			for resource, kind := range kinds {
				for verb, do := range verbs {
					for _, ns := range []string{own, other, "epic", "kube-system", ""} {
						if ns == "" && verb != "list" && verb != "watch" {
							continue
						}
						object := &unstructured.Unstructured{}
						object.SetAPIVersion(group.String())
						object.SetKind(kind)
						object.SetNamespace(ns)
						object.SetName("guessed")
						object.SetResourceVersion("1")
						if verb == "create" {
							object.SetResourceVersion("")
						}
						err := do(t.Context(), client.Resource(group.WithResource(resource)).Namespace(ns), object)
						allowed := ns == own && ownVerbs(resource, verb)
						if apierrors.IsForbidden(err) == allowed {
							t.Errorf("%s %s in %q: allowed should be %v, and the answer is %v", verb, resource, ns, allowed, err)
						}
					}
				}
			}
		})
	}

	t.Run("works", func(t *testing.T) {
		as := func(args ...string) []string { return append([]string{"--as=alice"}, args...) }
		c.with(t, loadBalancer(own, "mine"), as("apply", "-f", "-")...)
		wants(t, "get", c.run(t, as("get", "loadbalancers.epic.acnodal.io", "-n", own)...), "mine")
		c.run(t, as("patch", "-n", own, "loadbalancers.epic.acnodal.io", "mine", "--type=merge", "-p", `{"spec":{"display-name":"mine"}}`)...)
		wants(t, "another's", c.refused(t, loadBalancer(other, "mine"), as("apply", "-f", "-")...), "forbidden")
		wants(t, "all", c.refused(t, "", as("get", "loadbalancers.epic.acnodal.io", "-A")...), "forbidden")
		wants(t, "the audit", c.refused(t, "", as("get", "--raw", "/apis/epic.acnodal.io/v1/namespaces/epic/epics/epic/audit")...), "forbidden")
	})

	t.Run("sets nothing of the system's", func(t *testing.T) {
		c.with(t, loadBalancer(own, "plain"), "--as=alice", "apply", "-f", "-")
		patch := func(patch string, more ...string) (string, error) {
			return c.try("", append([]string{"--as=alice", "patch", "-n", own, "loadbalancers.epic.acnodal.io", "plain", "--type=merge", "-p", patch}, more...)...)
		}
		value := func(path string) string {
			return c.run(t, "get", "-n", own, "loadbalancers.epic.acnodal.io", "plain", "-o", "jsonpath="+path)
		}
		id, address := value("{.spec.service-id}"), value("{.spec.public-address}")
		for what, p := range map[string]string{
			"its account":     `{"metadata":{"labels":{"epic.acnodal.io/owning-account":"globex"}}}`,
			"its service ID":  `{"spec":{"service-id":4711}}`,
			"another address": `{"spec":{"public-address":"10.200.7.7"}}`,
			"a tunnel":        `{"spec":{"gue-tunnel-endpoints":{"192.168.1.16":{"epic-endpoints":{"192.168.1.40":{"tunnel-id":77}}}}}}`,
			"a finalizer":     `{"metadata":{"finalizers":["epic.acnodal.io/controller"]}}`,
			"its status":      `{"status":{"gue-tunnel-endpoints":{"192.168.1.16":{"epic-address":"192.168.1.40","tunnel-id":77}}}}`,
		} {
			// Some are refused and some ignored; none has an effect.
			out, _ := patch(p)
			for path, want := range map[string]string{
				`{.metadata.labels.epic\.acnodal\.io/owning-account}`: "acme", "{.spec.service-id}": id, "{.spec.public-address}": address,
				"{.status.gue-tunnel-endpoints}": "", "{.spec.gue-tunnel-endpoints}": "", "{.metadata.finalizers}": "",
			} {
				if got := value(path); got != want {
					t.Errorf("After a tenant sets %s, %s is %q, not %q: %s", what, path, got, want, out)
				}
			}
		}
		if out, err := patch(`{"status":{}}`, "--subresource=status"); err == nil {
			t.Errorf("A tenant writes the status: %s", out)
		}
		for _, finalizer := range []string{"epic.acnodal.io/controller", "node1.gwp.node-agent.epic.acnodal.io"} {
			held := strings.Replace(loadBalancer(own, "held"), "metadata: {", "metadata: {finalizers: ["+finalizer+"], ", 1)
			// An export has such finalizers: they are dropped.
			if out := c.with(t, held, "--as=alice", "create", "--dry-run=server", "-o", "yaml", "-f", "-"); strings.Contains(out, "finalizers:") {
				t.Errorf("A tenant creates an object with a finalizer of the system's:\n%s", out)
			}
			wants(t, "a finalizer of the system's", c.refused(t, "", "--as=alice", "patch", "-n", own, "loadbalancers.epic.acnodal.io", "plain", "--type=merge", "-p",
				`{"metadata":{"finalizers":["`+finalizer+`"]}}`), "metadata.finalizers", "update on loadbalancers/finalizers", "leave them unchanged")
		}
		// What the system holds a tenant does not let go.
		c.run(t, "patch", "-n", own, "loadbalancers.epic.acnodal.io", "plain", "--type=merge", "-p", `{"metadata":{"finalizers":["epic.acnodal.io/controller","acme.example/mine"]}}`)
		if out, err := patch(`{"metadata":{"finalizers":null}}`); err == nil {
			t.Errorf("A tenant removes a finalizer of the system's: %s", out)
		}
		if out, err := patch(`{"metadata":{"finalizers":["epic.acnodal.io/controller"]}}`); err != nil {
			t.Errorf("A tenant can't remove its own finalizer: %s", out)
		}
		c.run(t, "patch", "-n", own, "loadbalancers.epic.acnodal.io", "plain", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
		// The keys of tunnels are for nodes.
		wants(t, "its tunnels' keys", c.refused(t, "", "--as=alice", "get", "--raw", "/apis/epic.acnodal.io/v1/namespaces/"+own+"/loadbalancers/plain/tunnelkeys"), "forbidden")
		// Another tenant's address stays another tenant's.
		taken := c.run(t, "get", "-n", other, "loadbalancers.epic.acnodal.io", "plain", "-o", "jsonpath={.spec.public-address}")
		problem := c.refused(t, loadBalancer(own, "thief", fmt.Sprintf("  public-address: %s", taken)), "--as=alice", "apply", "-f", "-")
		wants(t, "another's address", problem, taken)
		for _, secret := range []string{"globex", other} {
			if strings.Contains(problem, secret) {
				t.Errorf("The answer names another tenant:\n%s", problem)
			}
		}
	})
	c.audited(t)
}

// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/test/tools/manifest"
)

// right is a verb for a resource of a group, as "verb group/resource".
type right string

// unseen are rights that are needed and that no log shows.
var unseen = map[right]string{
	"update gateway.networking.k8s.io/gateways/finalizers": "the admission plugin OwnerReferencesPermissionEnforcement asks for it",
	"patch events.k8s.io/events":                           "an event that repeats within minutes",
	"patch /events":                                        "an event that repeats within minutes",
	"get epic.acnodal.io/lbservicegroups/status":           "the role is the tenant's people's, too",
	"create authorization.k8s.io/subjectaccessreviews":     "those who ask for metrics over HTTPS, in the end-to-end test",
	// The tests of packages nodes and renewal show these.
	"create authentication.k8s.io/tokenreviews": "the credentials of nodes",
	"get /secrets":                                  "the authority of what nodes ask",
	"update /secrets":                               "the authority of what nodes ask",
	"patch /secrets":                                "the connector's own credential",
	"create /secrets":                               "the connector's own credential",
	"get /serviceaccounts":                          "the credentials of nodes",
	"list /serviceaccounts":                         "the credentials of nodes",
	"create /serviceaccounts":                       "the credentials of nodes",
	"delete /serviceaccounts":                       "the credentials of nodes",
	"create /serviceaccounts/token":                 "the credentials of nodes and the connector's own",
	"get rbac.authorization.k8s.io/rolebindings":    "the credentials of nodes",
	"update rbac.authorization.k8s.io/rolebindings": "the credentials of nodes",
	"bind rbac.authorization.k8s.io/clusterroles":   "the credentials of nodes",
}

// implied returns whether a right that no log shows goes with one that was used.
func implied(granted right, used map[right]bool) bool {
	verb, resource, _ := strings.Cut(string(granted), " ")
	switch verb {
	case "get", "list":
		// Servers without streaming lists are asked for lists, and the caches are compared with
		// the server before something is removed.
		return used[right("watch "+resource)]
	case "create":
		// To apply what is not there takes both.
		return used[right("patch "+resource)]
	}
	return false
}

// TestShippedRoles runs the connector through everything that it does with the roles that
// ship, on both sides. Nothing may be forbidden, and no right may be granted that it does
// not use.
func TestShippedRoles(t *testing.T) {
	w := clusters(t)
	namespace := w.account(t, "roles")
	ctx, from := t.Context(), time.Now()
	if err := w.tenants.namespace(ctx, churned...); err != nil {
		t.Fatal(err)
	}
	r := w.newReplica(t, "roles", "rights", "rights")
	w.started(t, r)
	c := &churner{client: w.tenants.admin, rng: rand.New(rand.NewPCG(1, 1)), certificates: newCertificates(t, 2), done: &atomic.Int64{}}
	c.fill(ctx, t)
	o := w.site(namespace, "rights")
	eventually(t, settle, "after many changes", func() error { return o.Compare(ctx) })

	class := &gatewayv1.GatewayClass{ObjectMeta: objectMeta("", "rare"), Spec: gatewayv1.GatewayClassSpec{ControllerName: publish.ControllerName}}
	must(t, w.tenants.admin.Create(ctx, class))
	defer func() { must(t, w.tenants.admin.Delete(ctx, class)) }()
	eventually(t, settle, "a new class", func() error {
		err := w.tenants.admin.Get(ctx, client.ObjectKeyFromObject(class), class)
		if err == nil && !apimeta.IsStatusConditionTrue(class.Status.Conditions, string(gatewayv1.GatewayClassConditionStatusAccepted)) {
			err = fmt.Errorf("it is not accepted: %v", class.Status.Conditions)
		}
		return err
	})

	// Rare cases: TLS, a policy, other labels, a rejection, another client's change.
	g := c.gateway("shop").(*gatewayv1.Gateway)
	g.Name, g.Annotations = "rare", nil
	g.Spec.GatewayClassName = "epic"
	g.Spec.Listeners = []gatewayv1.Listener{{
		Name: "https", Port: 443, Protocol: gatewayv1.HTTPSProtocolType,
		TLS: &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Name: "rare"}}},
	}}
	secret := c.secret("shop").(*corev1.Secret)
	secret.Name = "rare"
	must(t, w.tenants.admin.Create(ctx, secret))
	must(t, w.tenants.admin.Create(ctx, g))
	policied := w.shop(t, "rare", "epic")
	policy := c.policy("rare").(*gatewayv1.BackendTLSPolicy)
	policy.Spec.TargetRefs[0].Name = gatewayv1.ObjectName(policied.service.Name)
	must(t, w.tenants.admin.Create(ctx, c.authority("rare")))
	must(t, w.tenants.admin.Create(ctx, policy))
	eventually(t, settle, "the status of a policy", func() error {
		err := w.tenants.admin.Get(ctx, client.ObjectKeyFromObject(policy), policy)
		if err == nil && len(policy.Status.Ancestors) != 1 {
			err = fmt.Errorf("its ancestors are %v", policy.Status.Ancestors)
		}
		return err
	})
	eventually(t, settle, "with TLS", func() error { return o.Compare(ctx) })
	must(t, update(ctx, w.tenants.admin, g, func() {
		g.Spec.Infrastructure = &gatewayv1.GatewayInfrastructure{Labels: map[gatewayv1.LabelKey]gatewayv1.LabelValue{"team": "a"}}
		g.Spec.Listeners[0] = gatewayv1.Listener{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}
	}))
	eventually(t, settle, "without TLS", func() error { return o.Compare(ctx) })
	proxy, err := w.proxy(ctx, namespace, g)
	must(t, err)
	must(t, update(ctx, w.gateway.admin, proxy, func() {
		proxy.Spec.Gateway.Listeners = append(proxy.Spec.Gateway.Listeners, gatewayv1.Listener{Name: "mine", Port: 8080, Protocol: gatewayv1.HTTPProtocolType})
	}))
	eventually(t, settle, "after somebody else's change", func() error { return o.Compare(ctx) })
	refused := c.gateway("shop").(*gatewayv1.Gateway)
	refused.Name, refused.Spec.GatewayClassName, refused.Annotations = "refused", "epic", nil
	refused.Spec.Addresses = []gatewayv1.GatewaySpecAddress{{Type: ptr.To(gatewayv1.IPAddressType), Value: "198.51.100.1"}}
	must(t, w.tenants.admin.Create(ctx, refused))
	eventually(t, settle, "an event about the refusal", func() error { return w.event(ctx, "shop", "refused", "AddressNotUsable") })
	code, metrics, err := r.get("/metrics")
	must(t, err)
	for _, line := range []string{
		`epic_connector_refused_objects{kind="Gateway"} 1`, `epic_connector_writes_total{kind="GWProxy",operation="apply"}`,
		`epic_connector_writes_total{kind="Secret",operation="delete"}`, `epic_connector_status_writes_total{kind="Gateway"}`, "workqueue_depth",
	} {
		if code != 200 || !strings.Contains(metrics, line) {
			t.Errorf("the metrics, with the status %d, have no %s", code, line)
		}
	}
	if code, _, err := r.get("/livez"); code != 200 || err != nil {
		t.Errorf("/livez answers %d, %v", code, err)
	}
	must(t, w.clear(ctx))
	eventually(t, settle, "in the end", func() error { return o.Compare(ctx) })
	r.Kill()

	w.checkRights(t, from, w.tenants, "system:serviceaccount:"+system+":epic-connector", "install/connector/rbac.yaml")
	w.checkRights(t, from, w.gateway, "system:serviceaccount:"+namespace+":connector.rights", "rbac/connector.yaml", "rbac/offered-viewer.yaml")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// checkRights compares what a user did in all tests with what roles grant. What was forbidden
// counts from a time on: a kube-apiserver that is just starting forbids everything.
func (w *world) checkRights(t *testing.T, from time.Time, c *cluster, user string, files ...string) {
	t.Helper()
	used := map[right]bool{}
	file, err := os.Open(c.audit)
	must(t, err)
	defer func() { _ = file.Close() }()
	lines := bufio.NewReader(file)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		var e auditv1.Event
		must(t, json.Unmarshal(line, &e))
		if e.User.Username != user || e.ObjectRef == nil || e.ResponseStatus == nil {
			continue
		}
		resource := e.ObjectRef.APIGroup + "/" + e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		verb := right(e.Verb + " " + resource)
		if e.ResponseStatus.Code == 401 || e.ResponseStatus.Code == 403 {
			if e.RequestReceivedTimestamp.Time.Before(from) {
				continue
			}
			t.Errorf("%s may not %s %s: %s", user, verb, e.ObjectRef.Name, e.ResponseStatus.Message)
		}
		used[verb] = true
	}
	for granted := range rights(t, files...) {
		if !used[granted] && !implied(granted, used) && unseen[granted] == "" {
			t.Errorf("%s: %q is granted and was not used", strings.Join(files, ", "), granted)
		}
	}
}

// rights are what the roles in files grant. What they grant for some names only counts as
// granted.
func rights(t *testing.T, files ...string) map[right]bool {
	t.Helper()
	all := map[right]bool{}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(root, "artifacts", name))
		must(t, err)
		for document, err := range manifest.Documents(data) {
			must(t, err)
			var role rbacv1.ClusterRole
			must(t, yaml.Unmarshal(document, &role))
			if !slices.Contains([]string{"Role", "ClusterRole"}, role.Kind) {
				continue
			}
			for _, rule := range role.Rules {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						for _, verb := range rule.Verbs {
							all[right(fmt.Sprintf("%s %s/%s", verb, group, resource))] = true
						}
					}
				}
			}
		}
	}
	return all
}

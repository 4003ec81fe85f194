// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/nodeidentity"
)

const shippedPolicy = "--audit-policy-file=../../artifacts/install/audit/policy.yaml"

// everyKind has an object of each kind, parents first.
var everyKind = []struct{ resource, object string }{
	{"epics", object("EPIC", "epic", "epic", "spec: {}")},
	{"serviceprefixes", object("ServicePrefix", "epic", "pool", "spec: {public-pool: {pool: 192.0.2.8-192.0.2.15, subnet: 192.0.2.0/24, aggregation: /32}}")},
	{"accounts", object("Account", "epic-one", "one", "spec: {}")},
	{"lbservicegroups", labeled("LBServiceGroup", "epic-one", "web", "owning-serviceprefix", "pool", "spec: {}")},
	{"loadbalancers", object("LoadBalancer", "epic-one", "first", "spec: {service-group: web, upstream-clusters: [c1], public-ports: [{port: 80}]}")},
	{"remoteendpoints", labeled("RemoteEndpoint", "epic-one", "pod1", "owning-loadbalancer", "first", "spec: {cluster: c1, address: 10.1.1.1, node-address: 10.0.0.1, port: {port: 8080}}")},
	{"gwproxies", labeled("GWProxy", "epic-one", "gate", "owning-lbservicegroup", "web", "spec: {}")},
	{"gwroutes", object("GWRoute", "epic-one", "route", "spec: {http: {parentRefs: [{name: gate}]}}")},
	{"gwendpointslices", object("GWEndpointSlice", "epic-one", "slice", "spec: {addressType: IPv4, endpoints: [{addresses: [10.1.1.1]}]}")},
	{"gatewaynodes", object("GatewayNode", "epic", "203.0.113.1", "spec: {}")},
}

// The policy that ships records each write of each kind, by people and by programs. It records
// reads by people and tenants' programs, reads of keys by anyone, and no other reads by programs.
func TestAuditRecordsOfEveryKind(t *testing.T) {
	log := filepath.Join(t.TempDir(), "audit")
	server := testserver.StartTestServer(t, shippedPolicy, "--audit-log-path="+log, "--audit-log-mode=blocking")
	n := &nodes{TestServer: server}
	admin := clientset.NewForConfigOrDie(server.Config)
	n.admin = admin.EpicV1()
	served, err := admin.Discovery().ServerResourcesForGroupVersion(epicv1.SchemeGroupVersion.String())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range served.APIResources {
		known := slices.ContainsFunc(everyKind, func(k struct{ resource, object string }) bool { return k.resource == r.Name })
		if !strings.Contains(r.Name, "/") && !known {
			t.Errorf("This test writes no %s", r.Name)
		}
	}
	ctx := t.Context()
	client := dynamic.NewForConfigOrDie(server.Config)
	of := func(resource string, o *unstructured.Unstructured) dynamic.ResourceInterface {
		return client.Resource(epicv1.SchemeGroupVersion.WithResource(resource)).Namespace(o.GetNamespace())
	}
	var want []string
	expect := func(user, verb, resource string, o *unstructured.Unstructured) {
		want = append(want, user+": "+verb+" "+resource+" "+o.GetNamespace()+"/"+o.GetName())
	}
	const person = "epic-admin"
	var all []*unstructured.Unstructured
	for _, kind := range everyKind {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(kind.object), &o.Object); err != nil {
			t.Fatal(err)
		}
		o, err := of(kind.resource, o).Create(ctx, o, metav1.CreateOptions{})
		if err != nil {
			t.Fatalf("%s: %v", kind.resource, err)
		}
		expect(person, "create", kind.resource, o)
		o.SetAnnotations(map[string]string{"note": "changed"})
		if o, err = of(kind.resource, o).Update(ctx, o, metav1.UpdateOptions{}); err != nil {
			t.Fatalf("%s: %v", kind.resource, err)
		}
		expect(person, "update", kind.resource, o)
		if o, err = of(kind.resource, o).Patch(ctx, o.GetName(), types.MergePatchType, []byte(`{"metadata":{"annotations":{"note":null}}}`), metav1.PatchOptions{}); err != nil {
			t.Fatalf("%s: %v", kind.resource, err)
		}
		expect(person, "patch", kind.resource, o)
		all = append(all, o)
	}
	loadBalancer, node := all[4], all[9]
	if _, err := n.admin.LoadBalancers("epic-one").Patch(ctx, "first", types.MergePatchType, []byte(proxies), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	expect(person, "patch", "loadbalancers/status", loadBalancer)
	if _, err := n.admin.LoadBalancers("epic-one").Get(ctx, "first", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(person, "get", "loadbalancers", loadBalancer)

	// Programs: a node, and a service account.
	const nodeUser, account = "epic:node:203.0.113.1", "system:serviceaccount:epic-system:epic-controller"
	gateway := n.as(t, nodeUser, nodeidentity.Group)
	controller := n.as(t, account, "system:serviceaccounts", "system:serviceaccounts:epic-system", "system:masters")
	for _, c := range []struct {
		name string
		list func() error
	}{
		{"a node", func() error { _, err := gateway.LoadBalancers("epic-one").List(ctx, metav1.ListOptions{}); return err }},
		{"the controller", func() error {
			_, err := controller.LoadBalancers("epic-one").List(ctx, metav1.ListOptions{})
			return err
		}},
		{"the controller, all", func() error { _, err := controller.GWRoutes("").List(ctx, metav1.ListOptions{}); return err }},
	} {
		if err := c.list(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
	}
	// A tenant's program that reads what it may not.
	const robot = "system:serviceaccount:epic-two:robot"
	if _, err := n.as(t, robot, "system:serviceaccounts", "system:serviceaccounts:epic-two").LoadBalancers("epic-one").Get(ctx, "first", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("a tenant's program reads another's object: %v", err)
	}
	expect(robot, "get", "loadbalancers", loadBalancer)
	keys, err := gateway.LoadBalancers("epic-one").GetTunnelKeys(ctx, "first", metav1.GetOptions{})
	if err != nil || len(keys.Tunnels) == 0 {
		t.Fatalf("%+v, %v", keys, err)
	}
	expect(nodeUser, "get", "loadbalancers/tunnelkeys", loadBalancer)
	if _, err := gateway.GatewayNodes("epic").Patch(ctx, "203.0.113.1", types.MergePatchType, []byte(`{"status":{"version":"v1"}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	expect(nodeUser, "patch", "gatewaynodes/status", node)
	if _, err := controller.LoadBalancers("epic-one").Patch(ctx, "first", types.MergePatchType, []byte(`{"metadata":{"annotations":{"note":"x"}}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(account, "patch", "loadbalancers", loadBalancer)

	// An unknown token.
	const token = "c2VjcmV0LXRva2VuLW9mLWEtdGVuYW50"
	stranger := rest.AnonymousClientConfig(server.Config)
	stranger.BearerToken = token
	if _, err := clientset.NewForConfigOrDie(stranger).EpicV1().LoadBalancers("epic-one").Get(ctx, "first", metav1.GetOptions{}); err == nil {
		t.Error("A stranger reads a load balancer")
	}

	// The last cluster leaves before the load balancer goes.
	if err := n.admin.RemoteEndpoints("epic-one").Delete(ctx, "pod1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(person, "delete", "remoteendpoints", all[5])
	if _, err := n.admin.LoadBalancers("epic-one").Patch(ctx, "first", types.MergePatchType, []byte(`{"spec":{"upstream-clusters":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	expect(person, "patch", "loadbalancers", loadBalancer)
	for i, o := range slices.Backward(all) {
		if everyKind[i].resource == "remoteendpoints" {
			continue
		}
		if err := of(everyKind[i].resource, o).Delete(ctx, o.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatalf("%s: %v", everyKind[i].resource, err)
		}
		expect(person, "delete", everyKind[i].resource, o)
	}

	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		var e auditv1.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.ObjectRef == nil || e.ObjectRef.APIGroup != epicv1.GroupName {
			t.Fatalf("%v: %s", err, line)
		}
		if e.RequestObject != nil || e.ResponseObject != nil {
			t.Errorf("A record has the content of an object: %s", line)
		}
		if e.ResponseStatus.Code == http.StatusUnauthorized {
			continue
		}
		resource := strings.TrimSuffix(e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource, "/")
		got = append(got, e.User.Username+": "+e.Verb+" "+resource+" "+e.ObjectRef.Namespace+"/"+e.ObjectRef.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("The records are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	secrets := secretsOf(t, server.DataDir)
	secrets["a token"] = []byte(token)
	for _, tunnel := range keys.Tunnels {
		for _, key := range tunnel.Keys {
			secrets["the key of a tunnel "+hex.EncodeToString(key.Key[:2])] = key.Key
		}
	}
	if len(secrets) < 6 {
		t.Errorf("Only %d secrets are looked for", len(secrets))
	}
	for name, secret := range secrets {
		if form := contains(text, secret); form != "" {
			t.Errorf("The records have %s, %s", name, form)
		}
	}
}

// secretsOf returns the private keys and the master keys in a server's data directory.
func secretsOf(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	secrets := map[string][]byte{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || filepath.Ext(path) != ".key" && entry.Name() != "tunnel-keys" {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if block, _ := pem.Decode(content); block != nil {
			secrets[path] = block.Bytes
		}
		if entry.Name() == "tunnel-keys" {
			for line := range strings.Lines(string(content)) {
				if fields := strings.Fields(line); len(fields) == 2 && fields[0] != "#" {
					if secrets["master key "+fields[0]], err = base64.StdEncoding.DecodeString(fields[1]); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

// contains returns the form in which a text has some bytes, empty if it has not.
func contains(text, secret []byte) string {
	for form, encoded := range map[string]string{
		"as they are":        string(secret),
		"in base64":          base64.StdEncoding.EncodeToString(secret),
		"in base64 for URLs": base64.RawURLEncoding.EncodeToString(secret),
		"in hexadecimal":     hex.EncodeToString(secret),
		"in HEXADECIMAL":     strings.ToUpper(hex.EncodeToString(secret)),
		"as a JSON string":   quoted(secret),
	} {
		if encoded != "" && bytes.Contains(text, []byte(encoded)) {
			return form
		}
	}
	return ""
}

func quoted(secret []byte) string {
	text, err := json.Marshal(string(secret))
	if err != nil {
		return ""
	}
	return strings.Trim(string(text), `"`)
}

// TestContains checks that a secret in a record would be found.
func TestContains(t *testing.T) {
	secret := []byte("\x00\xffa secret of a tunnel")
	for _, form := range []string{string(secret), base64.StdEncoding.EncodeToString(secret), hex.EncodeToString(secret), strings.ToUpper(hex.EncodeToString(secret))} {
		if contains([]byte(`{"a":"`+form+`"}`), secret) == "" {
			t.Errorf("%q is not found", form)
		}
	}
	if form := contains([]byte(`{"a":"b"}`), secret); form != "" {
		t.Errorf("It is found %s", form)
	}
}

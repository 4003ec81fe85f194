// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// attempt is one request by which an attacker reaches for something that is not
// its own.
type attempt struct {
	// goal is what the attacker is after.
	goal string
	// method and path make the request. A path starts with the namespace: OWN is
	// the attacker's, VICTIM another tenant's, EPIC the platform's and ALL every
	// one. A path that starts with a slash is taken as it is. OWN and VICTIM are
	// replaced in bodies and headers, too, and so are ACCOUNT, NODE, SERVICE and POD.
	method, path string
	// form is the content type of a body: a key of forms.
	form, body string
	// header has further header fields.
	header map[string]string
	// code is the expected status. An attempt with a code below 400 is one that
	// the server accepts and that must change nothing the server guards.
	code int
	// says is a regular expression for the answer's body, lacks one that the body
	// must not match.
	says, lacks string
}

const (
	// recordDelay is how long a record may take to be written.
	recordDelay = 15 * time.Second
	// bindingDelay is how long a binding may take to be known to every server.
	bindingDelay = 20 * time.Second
)

// forms are content types of request bodies.
var forms = map[string]string{
	"":          "application/json",
	"yaml":      "application/yaml",
	"merge":     "application/merge-patch+json",
	"json":      "application/json-patch+json",
	"strategic": "application/strategic-merge-patch+json",
	"apply":     "application/apply-patch+yaml",
}

// attacker is a client with or without credentials.
type attacker struct {
	name string
	// config is how it reaches a server.
	config *rest.Config
	// user is its name in audit records.
	user string
	// direct indicates that it reaches EPIC's server itself and not the kube-apiserver.
	direct bool
	// attempts are listed explicitly; those of the matrix are added.
	attempts []attempt
	// matrix returns what the attacker may do by its role, or nil if the attacker
	// takes no part in the matrix.
	matrix func(right) bool
}

// right is one verb on one resource in one namespace: OWN, VICTIM, EPIC or ALL.
type right struct{ verb, resource, subresource, namespace string }

// battlefield is the state that all attempts share.
type battlefield struct {
	*cluster
	own, victim string
	// account is the attacker's; node, service and pod are addresses of the gateway
	// cluster.
	account, node, service, pod string
	// served are the resources and subresources of the group, with their verbs.
	served map[string][]string
}

// testAttacks lets six kinds of attackers try everything that a table and a matrix
// of all resources name. Each attempt must end as expected, show in the audit
// records, and leave what the server guards unchanged.
func (c *cluster) testAttacks(t *testing.T) {
	b := c.battlefield(t)
	attackers := b.attackers(t)
	b.covered(t, attackers)
	before := b.guarded(t)
	total := 0
	for _, a := range attackers {
		t.Run(a.name, func(t *testing.T) {
			client, err := rest.HTTPClientFor(a.config)
			if err != nil {
				t.Fatal(err)
			}
			expected := map[record]int{}
			attempts := slices.Concat(a.attempts, b.matrix(a))
			for _, try := range attempts {
				code, body := b.send(t, client, a, try)
				b.judge(t, a, try, code, body, before)
				expected[b.recordOf(a, try, code)]++
			}
			total += len(attempts)
			b.recorded(t, a, expected)
		})
	}
	t.Logf("%d attempts", total)
	b.unchanged(t, "all attempts", before)
	b.audited(t)
}

// judge compares the response with the expected one.
func (b *battlefield) judge(t *testing.T, a *attacker, try attempt, code int, body string, before map[string]string) {
	t.Helper()
	if code != try.code {
		t.Errorf("%s: %s: %s %s answers %d, not %d:\n%s", a.name, try.goal, try.method, try.path, code, try.code, body[:min(len(body), 600)])
	}
	if try.says != "" && !regexp.MustCompile(b.place(try.says)).MatchString(body) {
		t.Errorf("%s: %s: the answer does not match %q:\n%s", a.name, try.goal, try.says, body[:min(len(body), 600)])
	}
	if try.lacks != "" && regexp.MustCompile(b.place(try.lacks)).MatchString(body) {
		t.Errorf("%s: %s: the answer matches %q:\n%s", a.name, try.goal, try.lacks, body)
	}
	if code == http.StatusCreated {
		// What the server made of it is the attacker's own: it goes again.
		_, resource, _ := strings.Cut(try.path, "/")
		b.run(t, "delete", "-n", b.own, resource+"."+group.Group, "evil", "--ignore-not-found")
	}
	if code < 400 && try.method != http.MethodGet {
		b.unchanged(t, a.name+": "+try.goal, before)
	}
}

// place substitutes the names of the namespaces.
func (b *battlefield) place(text string) string {
	return strings.NewReplacer("OWN", b.own, "VICTIM", b.victim, "EPIC/", "epic/", "ACCOUNT", b.account,
		"NODE", b.node, "SERVICE", b.service, "POD", b.pod).Replace(text)
}

// url returns the path of an attempt on a server.
func (b *battlefield) url(try attempt) string {
	if strings.HasPrefix(try.path, "/") {
		return b.place(try.path)
	}
	prefix := "/apis/" + group.String() + "/"
	namespace, rest, _ := strings.Cut(try.path, "/")
	if namespace == "ALL" {
		return prefix + rest
	}
	return prefix + "namespaces/" + b.place(namespace+"/") + b.place(rest)
}

func (b *battlefield) send(t *testing.T, client *http.Client, a *attacker, try attempt) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), try.method, strings.TrimSuffix(a.config.Host, "/")+b.url(try), bytes.NewReader([]byte(b.place(try.body))))
	if err != nil {
		t.Fatal(err)
	}
	if try.body != "" {
		request.Header.Set("Content-Type", forms[try.form])
	}
	request.Header.Set("Accept", "application/json")
	for key, value := range try.header {
		request.Header.Set(key, b.place(value))
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatalf("%s: %s: %v", a.name, try.goal, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%s: %s: %v", a.name, try.goal, err)
	}
	return response.StatusCode, string(body)
}

// guarded returns, for each object, what no attacker may change: everything of
// others' objects, and of the attacker's own what the server sets. Conditions and
// heartbeats change by themselves.
func (b *battlefield) guarded(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for resource := range b.served {
		if strings.Contains(resource, "/") {
			continue
		}
		var list struct{ Items []map[string]any }
		if err := json.Unmarshal([]byte(b.run(t, "get", resource+"."+group.Group, "-A", "-o", "json")), &list); err != nil {
			t.Fatal(err)
		}
		for _, object := range list.Items {
			meta, ok := object["metadata"].(map[string]any)
			if !ok {
				t.Fatalf("A %s without metadata", resource)
			}
			namespace := fmt.Sprint(meta["namespace"])
			if namespace != b.own && namespace != b.victim && namespace != "epic" {
				continue
			}
			out[resource+" "+namespace+"/"+fmt.Sprint(meta["name"])] = guardedPart(object, meta, namespace == b.own)
		}
	}
	return out
}

func guardedPart(object, meta map[string]any, own bool) string {
	status, _ := object["status"].(map[string]any)
	for _, moving := range []string{"conditions", "observedGeneration", "nodes", "gateway-nodes", "last-heartbeat", "current-tunnel-id", "current-service-id", "current-group-id"} {
		delete(status, moving)
	}
	for _, moving := range []string{"resourceVersion", "managedFields", "generation"} {
		delete(meta, moving)
	}
	keep := any(object)
	if own {
		spec, _ := object["spec"].(map[string]any)
		labels, _ := meta["labels"].(map[string]any)
		kept := map[string]any{"status": status, "owners": meta["ownerReferences"], "finalizers": meta["finalizers"]}
		for _, assigned := range []string{"service-id", "group-id", "public-address", "alt-address", "endpoints", "envoy-template", "envoy-replica-count", "gue-tunnel-endpoints", "proxy-if-info"} {
			kept[assigned] = spec[assigned]
		}
		for label, value := range labels {
			if strings.HasPrefix(label, group.Group+"/owning-") {
				kept[label] = value
			}
		}
		keep = kept
	}
	text, err := json.Marshal(keep)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// unchanged compares the guarded state with the state before the attempts.
func (b *battlefield) unchanged(t *testing.T, what string, before map[string]string) {
	t.Helper()
	after := b.guarded(t)
	for object, was := range before {
		if is, ok := after[object]; !ok {
			t.Errorf("%s: %s is gone", what, object)
		} else if is != was {
			t.Errorf("%s: %s was\n%s\nand is\n%s", what, object, was, is)
		}
	}
	for object := range after {
		if _, ok := before[object]; !ok {
			t.Errorf("%s: %s appeared", what, object)
		}
	}
}

// recordOf describes how an attempt appears in the audit records.
func (b *battlefield) recordOf(a *attacker, try attempt, code int) record {
	path, query, _ := strings.Cut(b.url(try), "?")
	r := record{User: a.user, Code: code}
	if !strings.HasPrefix(path, "/apis/"+group.String()+"/") || strings.Contains(path, "%") {
		// No resource of the group, or one whose name the server reads its own way.
		return r
	}
	parts := strings.Split(strings.Trim(strings.TrimPrefix(path, "/apis/"+group.String()), "/"), "/")
	if len(parts) > 2 && parts[0] == "namespaces" {
		r.Namespace, parts = parts[1], parts[2:]
	}
	r.Resource = parts[0]
	if len(parts) > 1 {
		r.Name = parts[1]
	}
	if len(parts) > 2 {
		r.Subresource = parts[2]
	}
	r.Verb = map[string]string{
		http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "patch", http.MethodDelete: "delete", http.MethodGet: "get",
	}[try.method]
	switch {
	case strings.Contains(query, "watch="):
		r.Verb = "watch"
	case r.Name == "" && r.Verb == "get":
		r.Verb = "list"
	case r.Name == "" && r.Verb == "delete":
		r.Verb = "deletecollection"
	}
	// The record of a creation has the name only where the body was read.
	if r.Verb == "create" {
		r.Name = ""
	}
	return r
}

// recorded looks for every attempt in the records of the server that the attacker
// reached first, which sees all of them.
func (b *battlefield) recorded(t *testing.T, a *attacker, expected map[record]int) {
	t.Helper()
	if !a.direct && !b.local {
		t.Log("The kube-apiserver's records are out of reach")
		return
	}
	lack := func() string {
		var text string
		if a.direct {
			text = b.ofEPIC(t)
		} else {
			text = b.ofKubeAPIServer(t)
		}
		found := map[record]int{}
		for _, r := range recordList(text) {
			r.Decision, r.As = "", ""
			if r.Verb == "create" {
				r.Name = ""
			}
			found[r]++
		}
		var missing []string
		for r, n := range expected {
			// Requests that name no resource, and those of nobody, are no objects'.
			if r.Resource == "" || a.user == "" {
				continue
			}
			if found[r] < n {
				missing = append(missing, fmt.Sprintf("%+v: %d of %d", r, found[r], n))
			}
		}
		slices.Sort(missing)
		return strings.Join(missing, "\n")
	}
	eventually(t, recordDelay, func() string {
		if missing := lack(); missing != "" {
			return a.name + " does not show in the audit records:\n" + missing
		}
		return ""
	})
}

// covered fails for a resource or subresource that no attempt of the table names:
// whoever adds one has to think of who may want it.
func (b *battlefield) covered(t *testing.T, attackers []*attacker) {
	t.Helper()
	named := map[string]bool{}
	for _, a := range attackers {
		for _, try := range a.attempts {
			r := b.recordOf(a, try, 0)
			if r.Subresource != "" {
				named[r.Resource+"/"+r.Subresource] = true
			} else {
				named[r.Resource] = true
			}
		}
	}
	for resource := range b.served {
		if !named[resource] {
			t.Errorf("No attacker tries %s: add attempts to the tables", resource)
		}
	}
}

// discover requests the list of resources that the server serves.
func (c *cluster) discover(t *testing.T) map[string][]string {
	t.Helper()
	var list struct {
		Resources []struct {
			Name  string
			Verbs []string
		}
	}
	if err := json.Unmarshal([]byte(c.run(t, "get", "--raw", "/apis/"+group.String())), &list); err != nil {
		t.Fatal(err)
	}
	served := map[string][]string{}
	for _, r := range list.Resources {
		served[r.Name] = r.Verbs
	}
	if len(served) < 9 {
		t.Fatalf("The server serves %v", served)
	}
	return served
}

// matrix is every verb on every resource in every namespace that is not for the
// attacker.
func (b *battlefield) matrix(a *attacker) []attempt {
	if a.matrix == nil {
		return nil
	}
	var out []attempt
	for _, name := range slices.Sorted(maps.Keys(b.served)) {
		resource, subresource, _ := strings.Cut(name, "/")
		for _, verb := range b.served[name] {
			for _, namespace := range []string{"OWN", "VICTIM", "EPIC", "ALL"} {
				r := right{verb, resource, subresource, namespace}
				if namespace == "ALL" && verb != "list" && verb != "watch" || a.matrix(r) {
					continue
				}
				out = append(out, forbidden(r))
			}
		}
	}
	return out
}

// forbidden is the attempt to use a right that the role does not have. The object
// does not exist; the response must not depend on that.
func forbidden(r right) attempt {
	path := r.namespace + "/" + r.resource
	object := path + "/guessed"
	if r.subresource != "" {
		object += "/" + r.subresource
	}
	try := attempt{goal: r.verb + " " + strings.TrimPrefix(object, r.namespace+"/") + " in " + r.namespace, code: http.StatusForbidden}
	switch r.verb {
	case "list":
		try.method, try.path = http.MethodGet, path
	case "watch":
		try.method, try.path = http.MethodGet, path+"?watch=true&timeoutSeconds=1"
	case "deletecollection":
		try.method, try.path = http.MethodDelete, path
	case "create":
		try.method, try.path, try.body = http.MethodPost, path, `{"metadata":{"name":"guessed"}}`
	case "get":
		try.method, try.path = http.MethodGet, object
	case "delete":
		try.method, try.path = http.MethodDelete, object
	case "update":
		try.method, try.path, try.body = http.MethodPut, object, `{"metadata":{"name":"guessed"}}`
	case "patch":
		try.method, try.path, try.form, try.body = http.MethodPatch, object, "merge", `{"metadata":{"labels":{"a":"b"}}}`
	default:
		panic("no request for the verb " + r.verb)
	}
	return try
}

// ready waits until a user's bindings take effect.
func (b *battlefield) ready(ctx context.Context, t *testing.T, config *rest.Config, path string) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, bindingDelay, func() string {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(config.Host, "/")+b.url(attempt{path: path}), nil)
		if err != nil {
			return err.Error()
		}
		response, err := client.Do(request)
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return path + ": " + response.Status
		}
		return ""
	})
}

// SPDX-License-Identifier: Apache-2.0

package apiserver_test

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	apiservertesting "github.com/acnodal/epic/pkg/apiserver/testing"
	typed "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

func gwRoute(name string) *epicv1.GWRoute {
	return &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: epicv1.GWRouteSpec{TCP: &epicv1.TCPRouteSpec{TCPRouteSpec: gatewayv1.TCPRouteSpec{
		CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{Name: "a"}}},
		Rules:           []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{{BackendObjectReference: gatewayv1.BackendObjectReference{Name: "b"}}}}},
	}}}}
}

// createAccounts makes accounts of an installation that has none.
func createAccounts(t *testing.T, client typed.EpicV1Interface, names ...string) {
	t.Helper()
	if _, err := client.EPICs("epic").Create(t.Context(), &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: "epic"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, err := client.Accounts("epic-"+name).Create(t.Context(), &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// Bodies that cost too much are refused by each kind of write, with the reason.
func TestExpensiveBodies(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t)
	client := clientFor(t, server.Config).EpicV1()
	createAccounts(t, client, "a")
	routes := client.GWRoutes("epic-a")
	if _, err := routes.Create(t.Context(), gwRoute("r"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	long := `{"spec":{"tcp":{"rules":[` + strings.TrimSuffix(strings.Repeat("{},", 1001), ",") + `]}}}`
	wide := `{"metadata":{"annotations":{"a":"` + strings.Repeat("x", 600<<10) + `"}}}`
	ops := "[" + strings.TrimSuffix(strings.Repeat(`{"op":"test","path":"/metadata/name","value":"r"},`, 501), ",") + "]"
	for _, test := range []struct {
		name string
		kind types.PatchType
		body string
		want string
	}{
		{"long list, merge", types.MergePatchType, long, "a list of 1001 entries"},
		{"long list, strategic", types.StrategicMergePatchType, long, "a list of 1001 entries"},
		{"long list, apply", types.ApplyPatchType, strings.Replace(long, "{", `{"apiVersion":"epic.acnodal.io/v1","kind":"GWRoute",`, 1), "a list of 1001 entries"},
		{"large", types.MergePatchType, wide, "longer than 524288 bytes"},
		{"operations", types.JSONPatchType, ops, "501 operations"},
		{"references", types.ApplyPatchType, "apiVersion: epic.acnodal.io/v1\nkind: GWRoute\nspec: &a {b: *a}\n", "contains a reference"},
	} {
		options := metav1.PatchOptions{}
		if test.kind == types.ApplyPatchType {
			options.FieldManager = "test"
		}
		_, err := routes.Patch(t.Context(), "r", test.kind, []byte(test.body), options)
		if !apierrors.IsRequestEntityTooLargeError(err) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	// Labels that are all wrong are counted before they are looked at, whether the
	// object is new or not.
	labels := map[string]string{}
	for i := range 5000 {
		labels[fmt.Sprintf("-%d", i)] = ""
	}
	labeled := gwRoute("labeled")
	labeled.Labels = labels
	for _, name := range []string{"labeled", "r"} {
		labeled.Name = name
		_, err := routes.Create(t.Context(), labeled, metav1.CreateOptions{})
		if name == "r" {
			_, err = routes.Update(t.Context(), labeled, metav1.UpdateOptions{})
		}
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "has more than 128 entries") || len(err.Error()) > 1000 {
			t.Errorf("labels: %.500v", err)
		}
	}
	fat := gwRoute("fat")
	fat.Annotations = map[string]string{"a": strings.Repeat("x", 600<<10)}
	if _, err := routes.Create(t.Context(), fat, metav1.CreateOptions{}); !apierrors.IsRequestEntityTooLargeError(err) {
		t.Errorf("create: %v", err)
	}
	fat.Name = "r"
	if _, err := routes.Update(t.Context(), fat, metav1.UpdateOptions{}); !apierrors.IsRequestEntityTooLargeError(err) {
		t.Errorf("update: %v", err)
	}
	// A body of unknown length is counted while it is read.
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.Config.Host+"/apis/epic.acnodal.io/v1/namespaces/epic-a/gwroutes",
		struct{ *bytes.Reader }{bytes.NewReader(make([]byte, 600<<10))})
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.ContentLength = -1
	admin, err := rest.HTTPClientFor(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := admin.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of unknown length: %d", answer.StatusCode)
	}
}

// An account has at most as many objects and bytes as its Account, or the
// server, lets it have.
func TestAccountLimits(t *testing.T) {
	t.Parallel()
	server := apiservertesting.StartTestServer(t, "--account-object-limit=3", "--account-storage-limit-bytes=100000")
	client := clientFor(t, server.Config).EpicV1()
	createAccounts(t, client, "a", "b")
	routes := client.GWRoutes("epic-a")
	// Until the tracker has seen what was created, a moment passes.
	refused := func(text string, f func(i int) error) {
		t.Helper()
		for i := range 500 {
			err := f(i)
			if err == nil {
				time.Sleep(20 * time.Millisecond)
				continue
			}
			if !apierrors.IsForbidden(err) || !regexp.MustCompile(text).MatchString(err.Error()) {
				t.Fatalf("got %v, want %q", err, text)
			}
			return
		}
		t.Fatalf("never refused with %q", text)
	}
	create := func(namespace string, size int) func(int) error {
		return func(i int) error {
			r := gwRoute(fmt.Sprintf("r%d", i))
			r.Annotations = map[string]string{"a": strings.Repeat("x", size)}
			_, err := client.GWRoutes(namespace).Create(t.Context(), r, metav1.CreateOptions{})
			return err
		}
	}
	refused(`account object limit exceeded: account a has \d+ objects of this API, and its limit is 3: `, create("epic-a", 1))
	refused("account storage limit exceeded: the objects of account b may take 100000 bytes", create("epic-b", 40000))
	refused("account object limit exceeded", func(int) error {
		_, err := routes.Create(t.Context(), gwRoute("dry"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
	// The platform team gives the account more, and that takes effect.
	if _, err := client.Accounts("epic-a").Patch(t.Context(), "a", types.MergePatchType, []byte(`{"spec":{"objectLimit":100,"storageLimitBytes":20000}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return create("epic-a", 1)(1000) })
	refused("may take 20000 bytes", func(int) error {
		_, err := routes.Patch(t.Context(), "r1000", types.MergePatchType, []byte(`{"metadata":{"annotations":{"a":"`+strings.Repeat("y", 30000)+`"}}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
	// Deletion makes room.
	if err := client.GWRoutes("epic-b").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return create("epic-b", 40000)(2000) })
}

func eventually(t *testing.T, f func() error) {
	t.Helper()
	var err error
	for range 500 {
		if err = f(); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal(err)
}

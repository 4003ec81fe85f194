// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/skew"
)

const namespace = "epic-acme"

// gatewayCluster is EPIC's cluster after "epicctl connect".
func gatewayCluster() *fake.Clientset {
	kube := fake.NewClientset(
		&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: BindingName("paris")}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "connector.paris", Labels: map[string]string{"epic.acnodal.io/owning-cluster": "paris"}}},
	)
	uid := 0
	kube.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create, ok := action.(clienttesting.CreateAction)
		if ok && action.GetSubresource() == "" {
			uid++
			account, _ := create.GetObject().(*corev1.ServiceAccount)
			account.UID = types.UID(fmt.Sprintf("sa-%d", uid))
			return false, nil, nil
		}
		request, _ := create.GetObject().(*authenticationv1.TokenRequest)
		request.Status.Token = "token"
		return true, request, nil
	})
	return kube
}

func accounts(kube *fake.Clientset, nodes map[types.UID]netip.Addr) *Accounts {
	return &Accounts{Client: kube, Cluster: "paris", Namespace: namespace, Nodes: func(context.Context) (map[types.UID]netip.Addr, error) { return nodes, nil }}
}

// state lists the service accounts and the subjects of the binding.
func state(t *testing.T, kube *fake.Clientset) (has, bound []string) {
	t.Helper()
	list, err := kube.CoreV1().ServiceAccounts(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		has = append(has, list.Items[i].Name)
	}
	binding, err := kube.RbacV1().RoleBindings(namespace).Get(t.Context(), BindingName("paris"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range binding.Subjects {
		bound = append(bound, s.Namespace+"/"+s.Name)
	}
	slices.Sort(has)
	return has, bound
}

func TestToken(t *testing.T) {
	kube := gatewayCluster()
	address := netip.MustParseAddr("192.0.2.16")
	a := accounts(kube, map[types.UID]netip.Addr{"u1": address})
	for range 2 {
		account, token, err := a.Token(t.Context(), Node{Name: "one", UID: "u1", Address: address})
		if err != nil || account != "node.paris.192.0.2.16" || token != "token" {
			t.Fatalf("%s, %s, %v", account, token, err)
		}
	}
	has, bound := state(t, kube)
	if !slices.Equal(has, []string{"connector.paris", "node.paris.192.0.2.16"}) || !slices.Equal(bound, []string{"epic-acme/node.paris.192.0.2.16"}) {
		t.Errorf("There are %v, bound %v", has, bound)
	}
	// The cluster's role binding has the connector's version, written once.
	binding, err := kube.RbacV1().RoleBindings(namespace).Get(t.Context(), BindingName("paris"), metav1.GetOptions{})
	if err != nil || binding.Annotations[skew.ConnectorAnnotation] != buildinfo.Release() {
		t.Errorf("The annotations are %v, %v", binding.Annotations, err)
	}
	updates := 0
	for _, action := range kube.Actions() {
		if action.Matches("update", "rolebindings") {
			updates++
		}
	}
	if updates != 1 {
		t.Errorf("The role binding was written %d times", updates)
	}
	for _, action := range kube.Actions() {
		create, ok := action.(clienttesting.CreateAction)
		if !ok || action.GetSubresource() != "token" {
			continue
		}
		request, _ := create.GetObject().(*authenticationv1.TokenRequest)
		if *request.Spec.ExpirationSeconds != int64(time.Hour/time.Second) || request.UID != "sa-1" {
			t.Errorf("It asks for a token %+v of the account %s", request.Spec, request.UID)
		}
	}
}

// A node that writes another's address into its own Node object does not get the other's
// credential. When the other is gone, its former tokens end.
func TestAddressOfAnotherNode(t *testing.T) {
	kube := gatewayCluster()
	address := netip.MustParseAddr("2001:db8::16")
	nodes := map[types.UID]netip.Addr{"u1": address}
	a := accounts(kube, nodes)
	if _, _, err := a.Token(t.Context(), Node{Name: "one", UID: "u1", Address: address}); err != nil {
		t.Fatal(err)
	}
	nodes["u2"] = address
	thief := Node{Name: "two", UID: "u2", Address: address}
	_, token, err := a.Token(t.Context(), thief)
	var refused *refusalError
	if !errors.As(err, &refused) || refused.status != http.StatusConflict || token != "" {
		t.Fatalf("The thief got %q, %v", token, err)
	}
	if _, _, err := a.Token(t.Context(), Node{Name: "one", UID: "u1", Address: address}); err != nil {
		t.Errorf("The node itself: %v", err)
	}
	before, err := kube.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "node.paris.2001-db8--16", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	delete(nodes, "u1")
	if _, _, err := a.Token(t.Context(), thief); err != nil {
		t.Fatalf("The new node with the address: %v", err)
	}
	after, err := kube.CoreV1().ServiceAccounts(namespace).Get(t.Context(), before.Name, metav1.GetOptions{})
	if err != nil || after.UID == before.UID || after.Annotations[UIDAnnotation] != "u2" {
		t.Errorf("The account was %s and is %s, %v: tokens of the former node go on", before.UID, after.UID, err)
	}
	// A node that is known by its annotation only while it has the address.
	nodes["u2"] = netip.MustParseAddr("2001:db8::17")
	if _, _, err := a.Token(t.Context(), Node{Name: "three", UID: "u3", Address: address}); err != nil {
		t.Errorf("An address that was given back: %v", err)
	}
}

func TestSweep(t *testing.T) {
	kube := gatewayCluster()
	nodes := map[types.UID]netip.Addr{}
	a := accounts(kube, nodes)
	for i, text := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"} {
		uid, address := types.UID(fmt.Sprintf("u%d", i)), netip.MustParseAddr(text)
		nodes[uid] = address
		if _, _, err := a.Token(t.Context(), Node{Name: text, UID: uid, Address: address}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"node.rome.192.0.2.9", "node.192.0.2.9"} {
		if _, err := kube.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"epic.acnodal.io/owning-cluster": "paris"}}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := a.Sweep(t.Context()); n != 0 || err != nil {
		t.Fatalf("It swept %d, %v", n, err)
	}
	// One is gone, one has another address.
	delete(nodes, "u0")
	nodes["u1"] = netip.MustParseAddr("192.0.2.99")
	if n, err := a.Sweep(t.Context()); n != 2 || err != nil {
		t.Fatalf("It swept %d, %v", n, err)
	}
	has, bound := state(t, kube)
	if !slices.Equal(has, []string{"connector.paris", "node.192.0.2.9", "node.paris.192.0.2.3", "node.rome.192.0.2.9"}) || !slices.Equal(bound, []string{"epic-acme/node.paris.192.0.2.3"}) {
		t.Errorf("There are %v, bound %v", has, bound)
	}
	a.Nodes = func(context.Context) (map[types.UID]netip.Addr, error) { return nil, errors.New("not known") }
	if n, err := a.Sweep(t.Context()); n != 0 || err == nil {
		t.Errorf("Without knowing the nodes it swept %d, %v", n, err)
	}
}

// Another writer of the binding loses nothing.
func TestBindConflict(t *testing.T) {
	kube := gatewayCluster()
	failed := false
	kube.PrependReactor("update", "rolebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
		if failed {
			return false, nil, nil
		}
		failed = true
		return true, nil, apierrors.NewConflict(rbacv1.Resource("rolebindings"), "x", errors.New("changed"))
	})
	address := netip.MustParseAddr("192.0.2.16")
	if _, _, err := accounts(kube, nil).Token(t.Context(), Node{Name: "one", UID: "u1", Address: address}); err != nil || !failed {
		t.Fatalf("%v, conflict %v", err, failed)
	}
}

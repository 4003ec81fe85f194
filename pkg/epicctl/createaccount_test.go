// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func (i *installation) account(t *testing.T, name string) *v1.Account {
	t.Helper()
	account, err := i.client.EpicV1().Accounts(accountNamespace(name)).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func subjects(t *testing.T, kube *fake.Clientset, account, role string) []string {
	t.Helper()
	b, err := kube.RbacV1().RoleBindings(accountNamespace(account)).Get(t.Context(), role, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if b.RoleRef != clusterRole(role) {
		t.Errorf("The binding %s binds %v", role, b.RoleRef)
	}
	var out []string
	for _, s := range b.Subjects {
		out = append(out, fmt.Sprintf("%s %s/%s", s.Kind, s.Namespace, s.Name))
	}
	return out
}

// writes are the verbs with which the fake Kubernetes was changed.
func writes(kube *fake.Clientset) (out []string) {
	for _, a := range kube.Actions() {
		if !slices.Contains([]string{"get", "list", "watch"}, a.GetVerb()) {
			out = append(out, a.GetVerb()+" "+a.GetResource().Resource)
		}
	}
	return out
}

func TestCreateAccount(t *testing.T) {
	i := install(t)
	kube := i.beside()
	args := []string{
		"create", "account", "acme", "--proxy-limit", "7", "--admin-user", "jane", "--admin-group", "acme-admins",
		"--view-user", "joe", "--view-group", "acme-people", "--service-account", "epic-acme/deployer", "--admin-user", "jane",
	}
	i.run(t, args...).want(t, ExitOK, "namespace/epic-acme created", "account.epic.acnodal.io/acme created",
		"rolebinding.rbac.authorization.k8s.io/epic-tenant-admin created", "rolebinding.rbac.authorization.k8s.io/epic-tenant-viewer created",
		"rolebinding.rbac.authorization.k8s.io/epic-offered-viewer-acme created")
	// All of them see the groups that are offered to every account.
	if b, err := kube.RbacV1().RoleBindings(epic.ConfigNamespace).Get(t.Context(), "epic-offered-viewer-acme", metav1.GetOptions{}); err != nil || len(b.Subjects) != 5 || b.RoleRef != clusterRole(offeredRole) {
		t.Errorf("The binding for offered groups is %v, %v", b, err)
	}

	ns, err := kube.CoreV1().Namespaces().Get(t.Context(), "epic-acme", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ns.Labels["app.kubernetes.io/component"] != "user-namespace" || ns.Labels["app.kubernetes.io/part-of"] != "epic" {
		t.Errorf("The namespace has the labels %v", ns.Labels)
	}
	account := i.account(t, "acme")
	if *account.Spec.ProxyLimit != 7 {
		t.Errorf("The limit is %d", *account.Spec.ProxyLimit)
	}
	if got, want := subjects(t, kube, "acme", "epic-tenant-admin"), []string{"User /jane", "Group /acme-admins", "ServiceAccount epic-acme/deployer"}; !slices.Equal(got, want) {
		t.Errorf("Administrators are %q, want %q", got, want)
	}
	if got, want := subjects(t, kube, "acme", "epic-tenant-viewer"), []string{"User /joe", "Group /acme-people"}; !slices.Equal(got, want) {
		t.Errorf("Viewers are %q, want %q", got, want)
	}

	t.Run("twice", func(t *testing.T) {
		kube.ClearActions()
		r := i.run(t, args...)
		r.want(t, ExitOK, "namespace/epic-acme unchanged", "account.epic.acnodal.io/acme unchanged",
			"epic-tenant-admin unchanged", "epic-tenant-viewer unchanged")
		r.lacks(t, "created", "configured")
		if w := writes(kube); len(w) > 0 {
			t.Errorf("It wrote: %q", w)
		}
		if i.account(t, "acme").ResourceVersion != account.ResourceVersion {
			t.Error("It wrote the account")
		}
	})
	t.Run("more people, none less", func(t *testing.T) {
		i.run(t, "create", "account", "acme", "--admin-user", "ann").want(t, ExitOK, "acme unchanged", "epic-tenant-admin configured")
		if got, want := subjects(t, kube, "acme", "epic-tenant-admin"), []string{"User /jane", "Group /acme-admins", "ServiceAccount epic-acme/deployer", "User /ann"}; !slices.Equal(got, want) {
			t.Errorf("Administrators are %q, want %q", got, want)
		}
		if *i.account(t, "acme").Spec.ProxyLimit != 7 {
			t.Error("The limit was changed though none was given")
		}
	})
	t.Run("another limit", func(t *testing.T) {
		i.run(t, "create", "account", "acme", "--proxy-limit", "9").want(t, ExitOK, "account.epic.acnodal.io/acme configured")
		if *i.account(t, "acme").Spec.ProxyLimit != 9 {
			t.Error("The limit is as before")
		}
	})
}

func TestCreateAccountCompletesWhatIsHalfDone(t *testing.T) {
	i := install(t)
	kube := i.beside()
	broken := true
	kube.PrependReactor("create", "rolebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
		if !broken {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: rbacv1.GroupName, Resource: "rolebindings"}, "epic-tenant-admin",
			errors.New(`User "jane" cannot create resource "rolebindings" in API group "rbac.authorization.k8s.io" in the namespace "epic-acme"`))
	})
	args := []string{"create", "account", "acme", "--admin-user", "jane"}
	i.run(t, args...).want(t, ExitFailure,
		"you may not create rolebindings.rbac.authorization.k8s.io in namespace epic-acme",
		"before that: namespace/epic-acme created, account.epic.acnodal.io/acme created",
		"not made: rolebinding.rbac.authorization.k8s.io/epic-tenant-admin", "repeat the command to complete it")
	broken = false
	i.run(t, args...).want(t, ExitOK, "namespace/epic-acme unchanged", "acme unchanged", "epic-tenant-admin created")
}

// What others write between this program's read and its write stays.
func TestCreateAccountBesideOthers(t *testing.T) {
	i := install(t)
	kube := i.beside()
	i.run(t, "create", "account", "acme", "--admin-user", "jane").want(t, ExitOK)
	came := false
	kube.PrependReactor("patch", "rolebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
		if came {
			return false, nil, nil
		}
		came = true
		b := newBinding("epic-acme", tenantAdminRole, []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "jane"}, {Kind: "User", APIGroup: rbacv1.GroupName, Name: "between"}})
		if err := kube.Tracker().Update(rbacv1.SchemeGroupVersion.WithResource("rolebindings"), b, "epic-acme"); err != nil {
			return true, nil, err
		}
		return true, nil, apierrors.NewConflict(schema.GroupResource{Resource: "rolebindings"}, b.Name, errors.New("modified"))
	})
	i.run(t, "create", "account", "acme", "--admin-user", "ann").want(t, ExitOK, "configured")
	if got, want := subjects(t, kube, "acme", "epic-tenant-admin"), []string{"User /jane", "User /between", "User /ann"}; !slices.Equal(got, want) {
		t.Errorf("Administrators are %q, want %q", got, want)
	}
	var sent []byte
	for _, a := range kube.Actions() {
		if p, ok := a.(clienttesting.PatchAction); ok {
			sent = p.GetPatch()
		}
	}
	var patch struct {
		Metadata struct{ ResourceVersion *string }
	}
	if err := yaml.Unmarshal(sent, &patch); err != nil || patch.Metadata.ResourceVersion == nil {
		t.Errorf("The patch does not depend on what was read: %s", sent)
	}
}

func TestCreateAccountInNamespacesThatAreThere(t *testing.T) {
	i := install(t)
	going := foreignNamespace("epic-going", nil)
	now := metav1.Now()
	going.DeletionTimestamp, going.Finalizers = &now, []string{"x"}
	kube := i.beside(foreignNamespace("epic-mine", map[string]string{"team": "a"}), going,
		foreignNamespace("epic-other", map[string]string{"app.kubernetes.io/part-of": "shop"}))

	i.run(t, "create", "account", "mine").want(t, ExitOK, "namespace/epic-mine configured")
	ns, err := kube.CoreV1().Namespaces().Get(t.Context(), "epic-mine", metav1.GetOptions{})
	if err != nil || !hasLabels(ns.Labels, namespaceLabels) || ns.Labels["team"] != "a" {
		t.Errorf("The namespace has the labels %v, %v", ns.Labels, err)
	}
	i.run(t, "create", "account", "other").want(t, ExitFailure, `its label app.kubernetes.io/part-of is "shop"`, "another account name", "not made: namespace/epic-other, account.epic.acnodal.io/other")
	i.run(t, "create", "account", "going").want(t, ExitFailure, "is being deleted: wait")
	i.run(t, "get", "accounts").lacks(t, "other", "going")
}

func TestCreateAccountWithForeignBinding(t *testing.T) {
	i := install(t)
	b := newBinding("epic-acme", tenantAdminRole, nil)
	b.RoleRef.Name = "cluster-admin"
	i.beside(b)
	i.run(t, "create", "account", "acme", "--admin-user", "jane").want(t, ExitFailure, "for ClusterRole cluster-admin: delete it first")
}

func TestCreateAccountNobodyGrantsMoreThanTheyHave(t *testing.T) {
	i := install(t)
	kube := i.beside()
	kube.PrependReactor("create", "rolebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "rolebindings"}, "epic-tenant-admin",
			errors.New(`user "jane" is attempting to grant RBAC permissions not currently held: {APIGroups:["epic.acnodal.io"]...}`))
	})
	i.run(t, "create", "account", "acme", "--admin-user", "jane").want(t, ExitFailure, "only grant permissions that you have yourself", "epic-platform-admin")
}

// A standalone server does not store namespaces or bindings.
func TestCreateAccountStandalone(t *testing.T) {
	i := install(t)
	r := i.run(t, "create", "account", "acme", "--admin-user", "jane")
	r.want(t, ExitOK, "standalone server", "nobody is granted access", "account.epic.acnodal.io/acme created")
	r.lacks(t, "namespace/", "rolebinding")
	i.run(t, "create", "account", "acme").want(t, ExitOK, "account.epic.acnodal.io/acme unchanged")
}

func TestCreateAccountDryRun(t *testing.T) {
	i := install(t)
	kube := i.beside()
	t.Run("client", func(t *testing.T) {
		// It does not need a server.
		nowhere := &installation{TestServer: i.TestServer}
		args := []string{"create", "account", "acme", "--proxy-limit", "3", "--admin-user", "jane", "--dry-run=client", "--server", "https://127.0.0.1:1"}
		nowhere.run(t, args...).want(t, ExitOK, "namespace/epic-acme created (dry run)", "acme created (dry run)", "epic-tenant-admin created (dry run)")
		r := nowhere.run(t, append(args, "-o", "yaml")...)
		r.want(t, ExitOK)
		var list struct{ Items []map[string]any }
		if err := yaml.Unmarshal([]byte(r.stdout), &list); err != nil {
			t.Fatal(err)
		}
		var kinds []any
		for _, item := range list.Items {
			kinds = append(kinds, item["kind"])
		}
		if !slices.Equal(kinds, []any{"Namespace", "Account", "ResourceQuota", "RoleBinding", "RoleBinding"}) {
			t.Errorf("The manifests are of %v", kinds)
		}
		nowhere.run(t, append(args, "-o", "name")...).want(t, ExitOK, "namespace/epic-acme account.epic.acnodal.io/acme resourcequota/epic-account rolebinding.rbac.authorization.k8s.io/epic-tenant-admin")
	})
	t.Run("server", func(t *testing.T) {
		kube.ClearActions()
		i.run(t, "create", "account", "acme", "--admin-user", "jane", "--dry-run=server").want(t, ExitOK, "acme created (server dry run)")
		i.run(t, "get", "accounts").lacks(t, "acme")
		for _, a := range kube.Actions() {
			if c, ok := a.(clienttesting.CreateActionImpl); ok && !slices.Equal(c.CreateOptions.DryRun, []string{"All"}) {
				t.Errorf("It made %s in earnest", a.GetResource().Resource)
			}
		}
	})
	t.Run("server, where the namespace is not there", func(t *testing.T) {
		kube.PrependReactor("create", "rolebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewNotFound(corev1.Resource("namespaces"), "epic-acme2")
		})
		i.run(t, "create", "account", "acme2", "--admin-user", "jane", "--dry-run=server").want(t, ExitOK, "are not checked", "epic-tenant-admin created (server dry run)")
		i.run(t, "create", "account", "acme2", "--admin-user", "jane").want(t, ExitFailure, `namespaces "epic-acme2" not found`)
	})
	t.Run("server, of what it refuses", func(t *testing.T) {
		i.run(t, "create", "account", "acme3", "--proxy-limit", "200000", "--dry-run=server").want(t, ExitFailure, "would fail", "spec.proxyLimit")
	})
}

func TestCreateAccountBadInput(t *testing.T) {
	i := install(t)
	kube := i.beside()
	long := "a123456789b123456789c123456789d123456789e123456789f12345678"
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"upper case", []string{"Acme"}, "lowercase letters"},
		{"a dot", []string{"a.b"}, "lowercase letters"},
		{"a dash at the end", []string{"a-"}, "at both ends"},
		{"a namespace and a name", []string{"epic-acme/acme"}, "leave out the namespace"},
		{"nothing", []string{""}, "has no name"},
		{"the namespace of the programs", []string{"node"}, "epic-node belongs to EPIC's own programs"},
		{"59 characters", []string{long}, "shorten it to 58"},
		{"no name", nil, "takes NAME"},
		{"two names", []string{"a", "b"}, "got 2 arguments"},
		{"a negative limit", []string{"a", "--proxy-limit=-1"}, "use 0, which allows none, or more"},
		{"a limit that is no number", []string{"a", "--proxy-limit=many"}, "--proxy-limit"},
		{"a user without a name", []string{"a", "--admin-user="}, "--admin-user is empty"},
		{"a group without a name", []string{"a", "--view-group= "}, "--view-group is empty"},
		{"a service account without a namespace", []string{"a", "--service-account=x"}, "NAMESPACE/NAME"},
		{"a dry run of another kind", []string{"a", "--dry-run=perhaps"}, `use "none", "server", or "client"`},
		{"an output that is not known", []string{"a", "-o", "pdf"}, "pdf"},
	} {
		t.Run(test.name, func(t *testing.T) {
			i.run(t, append([]string{"create", "account"}, test.args...)...).want(t, ExitUsage, test.want)
		})
	}
	if w := writes(kube); len(w) > 0 {
		t.Errorf("It wrote: %q", w)
	}
	i.run(t, "create", "account", long[:58]).want(t, ExitOK, "created")
	i.run(t, "create", "account", "big", "--proxy-limit", "200000").want(t, ExitFailure, "spec.proxyLimit", "before that: namespace/epic-big created")
}

// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
)

func TestDeleteAccount(t *testing.T) {
	i := install(t)
	kube := i.beside()
	i.run(t, "create", "account", "acme", "--admin-user", "jane", "--view-user", "joe").want(t, ExitOK)
	i.run(t, "create", "account", "other").want(t, ExitOK)
	i.fill(t, "acme")
	i.fillGroup(t, "other", "web")

	t.Run("refused while something is in it", func(t *testing.T) {
		kube.ClearActions()
		i.run(t, "delete", "account", "acme").want(t, ExitFailure, "account acme still has 5 objects", "loadbalancers/shop", "gwproxies/gate", "--cascade")
		if w := writes(kube); len(w) > 0 {
			t.Errorf("It wrote: %q", w)
		}
		i.run(t, "get", "accounts", "acme").want(t, ExitOK, "2/20")
	})
	t.Run("dry run", func(t *testing.T) {
		i.run(t, "delete", "account", "acme", "--cascade", "--dry-run").want(t, ExitOK, "loadbalancers/shop deleted (dry run)", "namespace/epic-acme and everything else in it deleted (dry run)")
		i.run(t, "get", "accounts", "acme").want(t, ExitOK, "2/20")
		if w := writes(kube); len(w) > 0 {
			t.Errorf("It wrote: %q", w)
		}
	})
	t.Run("cascade", func(t *testing.T) {
		i.run(t, "delete", "account", "acme", "--cascade").want(t, ExitOK,
			"gwendpointslices.epic.acnodal.io/slice deleted remoteendpoints.epic.acnodal.io/pod1 deleted loadbalancers.epic.acnodal.io/shop deleted "+
				"gwproxies.epic.acnodal.io/gate deleted lbservicegroups.epic.acnodal.io/web deleted "+
				"rolebinding.rbac.authorization.k8s.io/epic-tenant-admin deleted rolebinding.rbac.authorization.k8s.io/epic-tenant-viewer deleted rolebinding.rbac.authorization.k8s.io/epic-offered-viewer-acme deleted "+
				"account.epic.acnodal.io/acme deleted namespace/epic-acme deleted")
		if _, err := kube.CoreV1().Namespaces().Get(t.Context(), "epic-acme", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("The namespace still exists: %v", err)
		}
		r := i.run(t, "get", "accounts")
		r.want(t, ExitOK, "other")
		r.lacks(t, "acme")
		i.run(t, "audit").want(t, ExitOK, "They agree")
	})
	t.Run("twice", func(t *testing.T) {
		i.run(t, "delete", "account", "acme", "--cascade").want(t, ExitOK, "account.epic.acnodal.io/acme not found", "namespace/epic-acme not found")
	})
	t.Run("and made again", func(t *testing.T) {
		i.run(t, "create", "account", "acme").want(t, ExitOK, "namespace/epic-acme created")
	})
}

func TestDeleteAccountLeavesWhatIsNotOurs(t *testing.T) {
	i := install(t)
	binding := newBinding("epic-acme", tenantAdminRole, nil)
	binding.Labels = nil
	kube := i.beside(binding, foreignNamespace("epic-acme", nil))
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	if err := kube.Tracker().Update(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, foreignNamespace("epic-acme", map[string]string{"a": "b"}), ""); err != nil {
		t.Fatal(err)
	}
	i.run(t, "delete", "account", "acme").want(t, ExitOK, "namespace epic-acme does not have the labels", "it is not deleted", "was not created by this program", "account.epic.acnodal.io/acme deleted")
	if _, err := kube.CoreV1().Namespaces().Get(t.Context(), "epic-acme", metav1.GetOptions{}); err != nil {
		t.Errorf("The namespace: %v", err)
	}
	if _, err := kube.RbacV1().RoleBindings("epic-acme").Get(t.Context(), tenantAdminRole, metav1.GetOptions{}); err != nil {
		t.Errorf("The binding: %v", err)
	}
}

func TestDeleteAccountCompletesWhatIsHalfDone(t *testing.T) {
	i := install(t)
	kube := i.beside()
	i.run(t, "create", "account", "acme", "--admin-user", "jane").want(t, ExitOK)
	broken := true
	kube.PrependReactor("delete", "namespaces", func(clienttesting.Action) (bool, runtime.Object, error) {
		if !broken {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "epic-acme", errors.New(`User "jane" cannot delete resource "namespaces"`))
	})
	i.run(t, "delete", "account", "acme").want(t, ExitFailure, "the namespace could not be deleted", "you may not delete namespaces",
		"deleted before: rolebinding.rbac.authorization.k8s.io/epic-tenant-admin, rolebinding.rbac.authorization.k8s.io/epic-offered-viewer-acme, account.epic.acnodal.io/acme", "repeat the command to complete it")
	broken = false
	i.run(t, "delete", "account", "acme").want(t, ExitOK, "account.epic.acnodal.io/acme not found", "namespace/epic-acme deleted")
}

// What a finalizer keeps is waited for, and named when it takes too long.
func TestDeleteAccountWaits(t *testing.T) {
	i := install(t)
	i.beside()
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fill(t, "acme")
	c := i.client.EpicV1().GWProxies("epic-acme")
	gate, err := c.Get(t.Context(), "gate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	gate.Finalizers = []string{"example.com/slow"}
	if _, err := c.Update(t.Context(), gate, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	i.run(t, "delete", "account", "acme", "--cascade", "--timeout", "2s").want(t, ExitFailure,
		"gwproxies gate (kept by the finalizer example.com/slow) still exists", "--timeout", "deleted before:", "loadbalancers.epic.acnodal.io/shop")
	gate, err = c.Get(t.Context(), "gate", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	gate.Finalizers = nil
	if _, err := c.Update(t.Context(), gate, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	i.run(t, "delete", "account", "acme", "--cascade").want(t, ExitOK, "lbservicegroups.epic.acnodal.io/web deleted", "account.epic.acnodal.io/acme deleted")
}

// A tenant's programs may make something between the look and the deletion.
func TestDeleteAccountBesideATenantAtWork(t *testing.T) {
	i := install(t)
	kube := i.beside()
	i.run(t, "create", "account", "acme", "--admin-user", "jane").want(t, ExitOK)
	meddle := func() {
		kube.PrependReactor("delete", "rolebindings", func(action clienttesting.Action) (bool, runtime.Object, error) {
			if action.(clienttesting.DeleteAction).GetName() == tenantAdminRole {
				i.fillGroup(t, "acme", "late")
			}
			return false, nil, nil
		})
	}
	meddle()
	i.run(t, "delete", "account", "acme").want(t, ExitFailure, "the account could not be deleted", "lbservicegroup epic-acme/late")
	i.run(t, "delete", "account", "acme", "--cascade").want(t, ExitOK, "late deleted", "account.epic.acnodal.io/acme deleted")
	kube.ReactionChain = kube.ReactionChain[1:]
	i.run(t, "create", "account", "acme", "--admin-user", "jane").want(t, ExitOK)
	meddle()
	i.run(t, "delete", "account", "acme", "--cascade").want(t, ExitOK, "late deleted", "account.epic.acnodal.io/acme deleted")
}

func TestDeleteAccountStandalone(t *testing.T) {
	i := install(t)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fill(t, "acme")
	i.run(t, "delete", "account", "acme", "--cascade").want(t, ExitOK, "acme deleted", "standalone server")
	i.run(t, "delete", "account", "acme").want(t, ExitOK, "acme not found")
	i.run(t, "audit").want(t, ExitOK, "They agree")
}

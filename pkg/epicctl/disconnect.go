// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/acnodal/epic/pkg/apis/epic"
)

type disconnect struct {
	*tool
	account, cluster string
	purgeAll         bool
	dryRun           dryRun
}

func newDisconnect(t *tool) *cobra.Command {
	o := &disconnect{tool: t}
	c := &cobra.Command{
		Use:   "disconnect --account NAME --cluster CLUSTER [flags]",
		Short: "Revoke the access of a client cluster and close its tunnels",
		Long: "Revoke the access of a client cluster and close its tunnels. The role bindings of its\n" +
			"connector and of its nodes are deleted first, which takes effect immediately, then their\n" +
			"service accounts and with them all tokens, and then the cluster's endpoints, which\n" +
			"closes its tunnels.\n\n" +
			"Other objects that the cluster published keep their addresses, so the cluster can be\n" +
			"connected again. --purge deletes them: use it for a cluster that you remove permanently.\n" +
			"Gateways and load balancers that other clusters share are not deleted. The certificates\n" +
			"of a shared Gateway are deleted once the connector of another cluster has replaced them.\n\n" +
			"Objects that no longer exist are skipped, so you can repeat the command to complete an\n" +
			"earlier run.",
		Example: "  epicctl disconnect --account acme --cluster paris\n" +
			"  epicctl disconnect --account acme --cluster paris --purge",
		Args:              exactly(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	addClusterFlags(t, c, &o.account, &o.cluster)
	c.Flags().BoolVar(&o.purgeAll, "purge", false, "Delete everything that the cluster published, and release its addresses.")
	o.dryRun.addFlag(c)
	return c
}

// completeConnected completes the names of an account's connected clusters.
func completeConnected(t *tool, account *string) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(c.Context(), completionTimeout)
		defer cancel()
		kube, err := t.kube()
		if err != nil || *account == "" {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		// Users who connect clusters may list the bindings, but not the service accounts.
		list, err := kube.RbacV1().RoleBindings(accountNamespace(*account)).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		var names []string
		for i := range list.Items {
			if cluster, ok := strings.CutPrefix(list.Items[i].Name, connectorBinding("")); ok {
				names = append(names, cluster)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func (o *disconnect) run(ctx context.Context) error {
	if o.account == "" {
		return usagef("--account is not set: set the account of the client cluster")
	}
	if err := checkAccountName(o.account); err != nil {
		return err
	}
	if err := checkCluster(o.cluster); err != nil {
		return err
	}
	kube, epicClient, err := o.clients()
	if err != nil {
		return err
	}
	around, err := lookInCluster(kube, "there is nothing to remove")
	if err != nil {
		return err
	}
	var steps []func(context.Context) (bool, error)
	step := func(f func(context.Context, kubernetes.Interface) (bool, error)) {
		steps = append(steps, func(ctx context.Context) (bool, error) { return f(ctx, kube) })
	}
	// Delete the bindings first: the server may accept tokens for some seconds after the
	// service account is deleted, but the permissions end immediately.
	if around.rbac {
		step(o.deleteBinding(nodesBinding(o.cluster)))
		step(o.deleteBinding(connectorBinding(o.cluster)))
		step(o.removeSubject)
	}
	step(o.deleteServiceAccount)
	step(o.deleteNodes)
	steps = append(steps, func(ctx context.Context) (bool, error) { return o.endTunnels(ctx, epicClient.EpicV1()) })
	if o.purgeAll {
		steps = append(steps, func(ctx context.Context) (bool, error) { return o.purge(ctx, kube, epicClient.EpicV1()) })
	}
	found := false
	for _, step := range steps {
		did, err := step(ctx)
		if err != nil {
			return fmt.Errorf("%w\nOnce the problem is fixed, repeat the command to complete it.", err)
		}
		found = found || did
	}
	if !found {
		o.note("Cluster %q has no objects in account %s. If the name is wrong, \"kubectl get serviceaccounts -n %s\" lists the clusters, as %s.",
			o.cluster, o.account, accountNamespace(o.account), connectorAccount("CLUSTER"))
		return nil
	}
	if o.dryRun == dryRunNone && !o.purgeAll {
		o.next("  What the cluster published no longer has endpoints in it, and keeps its addresses. See\n"+
			"  what it is, and delete it if the cluster does not come back:\n"+
			"    kubectl get gwroutes,gwproxies,loadbalancers -n %s -l %s=%s\n"+
			"    epicctl disconnect --account %s --cluster %s --purge",
			accountNamespace(o.account), epic.OwningClusterLabel, epic.LabelValue(o.cluster), o.account, o.cluster)
	}
	return nil
}

// deleteOptions limits a deletion to the object that was read, in case another one has
// the same name by now.
func (o *disconnect) deleteOptions(read metav1.Object) metav1.DeleteOptions {
	options := sameObject(read)
	options.DryRun = o.dryRun.options()
	return options
}

// tell prints what happened to an object.
func (o *disconnect) tell(what string, result outcome) {
	fmt.Fprintf(o.Out, "%s %s%s\n", what, result, o.dryRun.suffix())
}

// remove deletes an object that this program created.
func (o *disconnect) remove(what string, ns string, get func() (metav1.Object, error), remove func(metav1.DeleteOptions) error) (did bool, err error) {
	resource, _, _ := strings.Cut(what, "/")
	rightTo := func(verb string) right { return right{verb, resource + "s", ns} }
	if resource == "rolebinding" {
		rightTo = func(verb string) right { return right{verb, "rolebindings." + rbacv1.GroupName, ns} }
	}
	is, err := get()
	switch {
	case apierrors.IsNotFound(err):
		o.tell(what, absent)
		return false, nil
	case err != nil:
		return false, rightTo("get").explain(err)
	case !hasLabels(is.GetLabels(), bindingLabels):
		return false, fmt.Errorf("%s in namespace %s was not created by this program (it lacks the labels %s): if nobody else needs it, delete it with \"kubectl delete -n %s %s\"",
			what, ns, labelText(bindingLabels), ns, what)
	}
	if o.dryRun != dryRunClient {
		if err := remove(o.deleteOptions(is)); err != nil && !apierrors.IsNotFound(err) {
			return false, rightTo("delete").explain(err)
		}
	}
	o.tell(what, deleted)
	return true, nil
}

func (o *disconnect) deleteServiceAccount(ctx context.Context, kube kubernetes.Interface) (bool, error) {
	ns, name := accountNamespace(o.account), connectorAccount(o.cluster)
	client := kube.CoreV1().ServiceAccounts(ns)
	return o.remove("serviceaccount/"+name, ns,
		func() (metav1.Object, error) { return client.Get(ctx, name, metav1.GetOptions{}) },
		func(options metav1.DeleteOptions) error { return client.Delete(ctx, name, options) })
}

func (o *disconnect) deleteBinding(name string) func(context.Context, kubernetes.Interface) (bool, error) {
	return func(ctx context.Context, kube kubernetes.Interface) (bool, error) {
		ns := accountNamespace(o.account)
		client := kube.RbacV1().RoleBindings(ns)
		return o.remove("rolebinding/"+name, ns,
			func() (metav1.Object, error) { return client.Get(ctx, name, metav1.GetOptions{}) },
			func(options metav1.DeleteOptions) error { return client.Delete(ctx, name, options) })
	}
}

// removeSubject removes the connector from the account's binding in the platform team's
// namespace, which it shares with others of the account.
func (o *disconnect) removeSubject(ctx context.Context, kube kubernetes.Interface) (did bool, err error) {
	name := offeredBinding(o.account)
	client := kube.RbacV1().RoleBindings(epic.ConfigNamespace)
	rightTo := func(verb string) right { return right{verb, "rolebindings." + rbacv1.GroupName, epic.ConfigNamespace} }
	gone := rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: accountNamespace(o.account), Name: connectorAccount(o.cluster)}
	what := "rolebinding/" + name
	result := unchanged
	err = again(func() error {
		result = unchanged
		is, err := client.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			result = absent
			return nil
		}
		if err != nil {
			return rightTo("get").explain(err)
		}
		if !slices.Contains(is.Subjects, gone) {
			return nil
		}
		left := slices.DeleteFunc(slices.Clone(is.Subjects), func(s rbacv1.Subject) bool { return s == gone })
		if len(left) == 0 && hasLabels(is.Labels, bindingLabels) {
			result = deleted
			if o.dryRun == dryRunClient {
				return nil
			}
			return rightTo("delete").explain(client.Delete(ctx, name, o.deleteOptions(is)))
		}
		result = changed
		if o.dryRun == dryRunClient {
			return nil
		}
		_, err = client.Patch(ctx, name, types.MergePatchType, mergePatch(is, map[string]any{"subjects": left}),
			metav1.PatchOptions{FieldManager: fieldManager, DryRun: o.dryRun.options()})
		return rightTo("patch").explain(err)
	})
	if err != nil {
		return false, err
	}
	o.tell(what, result)
	return result == changed || result == deleted, nil
}

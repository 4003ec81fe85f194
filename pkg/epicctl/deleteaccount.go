// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

const (
	// deleteTimeout is the time for controllers to clean up.
	deleteTimeout = 2 * time.Minute
	// rounds is how often the contents are deleted, if a tenant's programs create new
	// ones in the meantime.
	rounds = 3
	// mostListed is the maximum number of names in a message.
	mostListed = 5
)

type deleteAccount struct {
	*tool
	name    string
	cascade bool
	timeout time.Duration
	dryRun  bool

	kubeClient kubernetes.Interface
	epicClient versioned.Interface
	around     surroundings
	// done lists what has been deleted, for the message of a failure.
	done []string
}

func newDeleteAccount(t *tool) *cobra.Command {
	o := &deleteAccount{tool: t}
	c := &cobra.Command{
		Use:   "account NAME [flags]",
		Short: "Delete an account, its role bindings and its namespace",
		Long: "Delete an account: the role bindings that this program created, the Account, and the\n" +
			"namespace with everything else in it.\n\n" +
			"An account that still has load balancers, proxies, groups, routes or endpoints is not\n" +
			"deleted, unless --cascade is set, which deletes these first. Objects that no longer\n" +
			"exist are skipped, so you can repeat the command to complete an earlier run.",
		Example: "  # List what would be deleted, then delete it\n" +
			"  epicctl delete account acme --cascade --dry-run=server\n" +
			"  epicctl delete account acme --cascade",
		Args:              exactly("NAME"),
		ValidArgsFunction: completeAccounts(t, false),
		RunE: func(c *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(c.Context())
		},
	}
	c.Flags().BoolVar(&o.cascade, "cascade", false, "Also delete everything in the account.")
	c.Flags().DurationVar(&o.timeout, "timeout", deleteTimeout, "How long to wait for the deletion.")
	c.Flags().BoolVar(&o.dryRun, "dry-run", false, "Only print what would be deleted.")
	must(c.RegisterFlagCompletionFunc("timeout", cobra.NoFileCompletions))
	return c
}

func (o *deleteAccount) run(ctx context.Context) (err error) {
	if err := checkAccountName(o.name); err != nil {
		return err
	}
	if o.kubeClient, o.epicClient, err = o.clients(); err != nil {
		return err
	}
	if o.around, err = look(o.kubeClient); err != nil {
		return err
	}
	if err := o.refuseOthers(ctx); err != nil {
		return err
	}
	if err := o.checkContents(ctx); err != nil || o.dryRun {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"what the account holds", o.deleteContents},
		{"the role bindings", o.deleteBindings},
		{"the account", o.deleteAccount},
		{"the namespace", o.deleteNamespace},
	} {
		if err := step.do(ctx); err != nil {
			before := "nothing was deleted before"
			if len(o.done) > 0 {
				before = "deleted before: " + listed(o.done)
			}
			return fmt.Errorf("%s could not be deleted: %w\n%s\nOnce the problem is fixed, repeat the command to complete it.", step.what, err, before)
		}
	}
	return nil
}

// tell prints what happened to an object.
func (o *deleteAccount) tell(what string, result outcome) {
	fmt.Fprintf(o.Out, "%s %s\n", what, result)
	if result == deleted {
		o.done = append(o.done, what)
	}
}

// refuseOthers returns an error if the namespace belongs to somebody else, before
// anything in it is changed.
func (o *deleteAccount) refuseOthers(ctx context.Context) error {
	if !o.around.namespaces {
		return nil
	}
	name := accountNamespace(o.name)
	ns, err := o.kubeClient.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return right{verb: "get", resource: "namespaces"}.explain(err)
	}
	if !hasLabels(ns.Labels, namespaceLabels) {
		o.note("Warning: namespace %s does not have the labels of an account's namespace (%s), so it is not deleted.", name, labelText(namespaceLabels))
	}
	return nil
}

// checkContents prints what would be deleted, or returns an error for contents whose
// deletion was not requested.
func (o *deleteAccount) checkContents(ctx context.Context) error {
	var found []string
	for _, c := range contents(o.epicClient.EpicV1(), accountNamespace(o.name)) {
		names, err := c.names(ctx)
		if err != nil {
			return err
		}
		for _, name := range names {
			found = append(found, c.resource+"/"+name)
		}
	}
	if len(found) > 0 && !o.cascade {
		return fmt.Errorf("account %s still has %s, %s: delete them first, or delete all of them with --cascade",
			o.name, count(len(found), "object", "objects"), listed(found))
	}
	if o.dryRun {
		for _, what := range found {
			fmt.Fprintf(o.Out, "%s %s (dry run)\n", what, deleted)
		}
		fmt.Fprintf(o.Out, "account.epic.acnodal.io/%s %s (dry run)\n", o.name, deleted)
		if o.around.namespaces {
			fmt.Fprintf(o.Out, "namespace/%s and everything else in it %s (dry run)\n", accountNamespace(o.name), deleted)
		}
	}
	return nil
}

func (o *deleteAccount) deleteContents(ctx context.Context) error {
	for _, c := range contents(o.epicClient.EpicV1(), accountNamespace(o.name)) {
		if !o.cascade {
			return nil
		}
		if err := c.empty(ctx, func(what string) { o.tell(what, deleted) }); err != nil {
			return err
		}
	}
	return nil
}

// deleteBindings deletes the bindings that create makes. Others are deleted with the
// namespace.
func (o *deleteAccount) deleteBindings(ctx context.Context) error {
	if !o.around.rbac {
		return nil
	}
	for _, made := range []struct{ namespace, name string }{
		{accountNamespace(o.name), tenantAdminRole},
		{accountNamespace(o.name), tenantViewerRole},
		{epic.ConfigNamespace, offeredBinding(o.name)},
	} {
		ns, name := made.namespace, made.name
		client := o.kubeClient.RbacV1().RoleBindings(ns)
		rightTo := func(verb string) right { return right{verb, "rolebindings." + rbacv1.GroupName, ns} }
		what := "rolebinding.rbac.authorization.k8s.io/" + name
		b, err := client.Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return rightTo("get").explain(err)
		case !hasLabels(b.Labels, bindingLabels):
			o.note("Warning: %s in namespace %s was not created by this program (it lacks the labels %s), so it is not deleted.", what, ns, labelText(bindingLabels))
			continue
		}
		err = client.Delete(ctx, name, sameObject(b))
		if err != nil && !apierrors.IsNotFound(err) {
			return rightTo("delete").explain(err)
		}
		o.tell(what, deleted)
	}
	return nil
}

// deleteAccount deletes the account itself. The server rejects that while the namespace
// contains objects that a tenant's programs created in the meantime.
func (o *deleteAccount) deleteAccount(ctx context.Context) error {
	ns := accountNamespace(o.name)
	what := "account.epic.acnodal.io/" + o.name
	client := o.epicClient.EpicV1().Accounts(ns)
	var err error
	for range rounds {
		err = client.Delete(ctx, o.name, metav1.DeleteOptions{})
		if !apierrors.IsInvalid(err) || !o.cascade {
			break
		}
		if err := o.deleteContents(ctx); err != nil {
			return err
		}
	}
	if apierrors.IsNotFound(err) && !notServed(err) {
		o.tell(what, absent)
		return nil
	}
	if err != nil {
		return accountRight("delete", ns).explain(err)
	}
	if err := o.waitGone(ctx, what, func(ctx context.Context) (metav1.Object, error) {
		return client.Get(ctx, o.name, metav1.GetOptions{})
	}); err != nil {
		return err
	}
	o.tell(what, deleted)
	return nil
}

func (o *deleteAccount) deleteNamespace(ctx context.Context) error {
	if !o.around.namespaces {
		o.note("This standalone server has no namespaces, so there is none to delete.")
		return nil
	}
	name := accountNamespace(o.name)
	what := "namespace/" + name
	client := o.kubeClient.CoreV1().Namespaces()
	ns, err := client.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		o.tell(what, absent)
		return nil
	case err != nil:
		return right{verb: "get", resource: "namespaces"}.explain(err)
	case !hasLabels(ns.Labels, namespaceLabels):
		return nil
	}
	err = client.Delete(ctx, name, sameObject(ns))
	// The server returns a conflict if it is already being deleted.
	going := apierrors.IsConflict(err) && ns.DeletionTimestamp != nil
	if err != nil && !apierrors.IsNotFound(err) && !going {
		return right{verb: "delete", resource: "namespaces"}.explain(err)
	}
	if err := o.waitGone(ctx, what, func(ctx context.Context) (metav1.Object, error) {
		return client.Get(ctx, name, metav1.GetOptions{})
	}); err != nil {
		return err
	}
	o.tell(what, deleted)
	return nil
}

// sameObject limits a deletion to the object that was read, in case another one has the
// same name by now.
func sameObject(read metav1.Object) metav1.DeleteOptions {
	return metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: ptr.To(read.GetUID())}}
}

// sameVersion limits a deletion to the version of the object that was read.
func sameVersion(read metav1.Object) metav1.DeleteOptions {
	options := sameObject(read)
	options.Preconditions.ResourceVersion = ptr.To(read.GetResourceVersion())
	return options
}

func (o *deleteAccount) waitGone(ctx context.Context, what string, get func(context.Context) (metav1.Object, error)) error {
	var held string
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		object, err := get(ctx)
		switch {
		case apierrors.IsNotFound(err):
			return true, nil
		case err != nil && ctx.Err() != nil:
			return false, nil //nolint:nilerr // the timeout reports it, with what delays it
		case err != nil:
			return false, explain(err)
		}
		held = heldBy(object)
		return false, nil
	})
	if wait.Interrupted(err) {
		if errors.Is(context.Cause(ctx), context.Canceled) {
			return errors.New("interrupted")
		}
		return fmt.Errorf("%s is still being deleted%s: find out why, or allow more time with --timeout", what, held)
	}
	return err
}

// listed formats the first of several names.
func listed(names []string) string {
	if len(names) > mostListed {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostListed], ", "), len(names)-mostListed)
	}
	return strings.Join(names, ", ")
}

func labelText(labels map[string]string) string {
	return metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels})
}

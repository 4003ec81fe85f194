// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

type createAccount struct {
	*tool
	print *genericclioptions.PrintFlags

	name       string
	limit      int32
	limitGiven bool
	subjects   subjectFlags
	quota      quotaFlags
	dryRun     dryRun

	kubeClient kubernetes.Interface
	epicClient versioned.Interface
}

func newCreateAccount(t *tool) *cobra.Command {
	o := &createAccount{tool: t, print: newPrintFlags()}
	c := &cobra.Command{
		Use:   "account NAME [flags]",
		Short: "Create an account, its namespace, and its users' role bindings",
		Long: "Create an account: the namespace epic-NAME, the Account in it, a ResourceQuota, and role\n" +
			"bindings for the given users, groups and service accounts.\n\n" +
			"Existing objects are not changed, so you can repeat the command to complete an earlier\n" +
			"run. Given users and groups are added to those who have access; nobody loses access.",
		Example: "  # An account for 50 load balancers and proxies, with an administrator\n" +
			"  epicctl create account acme --proxy-limit 50 --admin-user jane@acme.example\n\n" +
			"  # Manifests for a repository, made without a server\n" +
			"  epicctl create account acme --admin-group acme --dry-run=client -o yaml",
		Args:              exactly("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			o.name = args[0]
			o.limitGiven = c.Flags().Changed("proxy-limit")
			return o.run(c.Context())
		},
	}
	c.Flags().Int32Var(&o.limit, "proxy-limit", 0, "Maximum number of load balancers and gateway proxies together. Default: the server's default for a new account; an existing account is not changed.")
	o.subjects.addFlags(c)
	o.quota.addFlags(c)
	o.dryRun.addFlag(c)
	o.print.AddFlags(c)
	completeOutput(c, o.print)
	return c
}

// step is one object that the command creates. Its desired state depends on existing
// objects.
type step struct {
	// what identifies the object, in kubectl's form.
	what string
	// object is what is created if nothing exists yet.
	object runtime.Object
	// ensure creates or updates the object, and returns what it did.
	ensure func(ctx context.Context) (outcome, runtime.Object, error)
}

// outcome is what happened to an object, in kubectl's terms.
type outcome string

const (
	created   outcome = "created"
	changed   outcome = "configured"
	unchanged outcome = "unchanged"
	deleted   outcome = "deleted"
	absent    outcome = "not found"
)

func (o *createAccount) run(ctx context.Context) error {
	if err := checkNewAccountName(o.name); err != nil {
		return err
	}
	if o.limitGiven && o.limit < 0 {
		return usagef("--proxy-limit is %d: use 0, which allows none, or more", o.limit)
	}
	bindings, err := o.subjects.bindings(o.name)
	if err != nil {
		return err
	}
	counts, err := o.quota.parse()
	if err != nil {
		return err
	}
	printer, err := objectPrinter(o.print, "")
	if err != nil {
		return err
	}
	steps := o.steps(bindings, counts)
	if o.dryRun == dryRunClient {
		return o.preview(steps, printer)
	}
	if o.kubeClient, o.epicClient, err = o.clients(); err != nil {
		return err
	}
	around, err := look(o.kubeClient)
	if err != nil {
		return err
	}
	if err := o.perform(ctx, o.within(around, steps, len(bindings)), printer); err != nil {
		return err
	}
	if printer == nil && o.dryRun == dryRunNone {
		o.nextOfAccount(ctx, around, len(bindings))
	}
	return nil
}

// steps returns all objects in the order of their dependencies.
func (o *createAccount) steps(bindings []*rbacv1.RoleBinding, counts map[string]int64) []step {
	namespace := newNamespace(o.name)
	account := newAccount(o.name)
	if o.limitGiven {
		account.Spec.ProxyLimit = &o.limit
	}
	steps := []step{
		{"namespace/" + namespace.Name, namespace, func(ctx context.Context) (outcome, runtime.Object, error) {
			return o.ensureNamespace(ctx, namespace)
		}},
		{"account.epic.acnodal.io/" + account.Name, account, func(ctx context.Context) (outcome, runtime.Object, error) {
			return o.ensureAccount(ctx, account)
		}},
	}
	if !o.quota.none {
		quota := newQuota(namespace.Name, counts)
		steps = append(steps, step{"resourcequota/" + quota.Name, quota, func(ctx context.Context) (outcome, runtime.Object, error) {
			return o.ensureQuota(ctx, quota, counts)
		}})
	}
	for _, b := range bindings {
		steps = append(steps, step{"rolebinding.rbac.authorization.k8s.io/" + b.Name, b, func(ctx context.Context) (outcome, runtime.Object, error) {
			return o.ensureBinding(ctx, b)
		}})
	}
	return steps
}

// within omits what the server does not support, and prints a note.
func (o *createAccount) within(around surroundings, steps []step, bindings int) []step {
	var out []step
	for _, s := range steps {
		switch s.object.(type) {
		case *corev1.Namespace, *corev1.ResourceQuota:
			if !around.namespaces {
				continue
			}
		case *rbacv1.RoleBinding:
			if !around.rbac {
				continue
			}
		}
		out = append(out, s)
	}
	switch {
	case around.standalone() && bindings > 0:
		o.note("This standalone server has no namespaces and no RBAC: only the Account is created, and nobody is granted access.")
	case around.standalone():
		o.note("This standalone server has no namespaces and no RBAC: only the Account is created.")
	case !around.rbac && bindings > 0:
		o.note("This server has no RBAC, so nobody is granted access.")
	}
	return out
}

// note prints a note to standard error, so the result can be piped.
func (t *tool) note(format string, args ...any) {
	fmt.Fprintf(t.ErrOut, format+"\n", args...)
}

func (o *createAccount) preview(steps []step, printer objectWriter) error {
	var objects []runtime.Object
	for _, s := range steps {
		if printer == nil {
			fmt.Fprintf(o.Out, "%s %s%s\n", s.what, created, o.dryRun.suffix())
		}
		objects = append(objects, s.object)
	}
	return printer.print(o.Out, objects...)
}

// perform performs the steps in order. If one fails, the error lists the completed and
// the remaining steps.
func (o *createAccount) perform(ctx context.Context, steps []step, printer objectWriter) error {
	var objects []runtime.Object
	var done []string
	for i, s := range steps {
		result, object, err := s.ensure(ctx)
		if err != nil {
			// Existing objects belong to the result, even after a failure.
			return errors.Join(o.halfway(steps[i:], done, err), printer.print(o.Out, objects...))
		}
		if printer == nil {
			fmt.Fprintf(o.Out, "%s %s%s\n", s.what, result, o.dryRun.suffix())
		}
		done = append(done, s.what+" "+string(result))
		objects = append(objects, object)
	}
	return printer.print(o.Out, objects...)
}

func (o *createAccount) halfway(left []step, done []string, err error) error {
	var not []string
	for _, s := range left {
		not = append(not, s.what)
	}
	before := "nothing was created before"
	if len(done) > 0 {
		before = "before that: " + strings.Join(done, ", ")
	}
	if o.dryRun == dryRunServer {
		return fmt.Errorf("%s would fail: %w", left[0].what, err)
	}
	return fmt.Errorf("%s could not be created: %w\n%s\nnot made: %s\nOnce the problem is fixed, repeat the command to complete it.",
		left[0].what, err, before, strings.Join(not, ", "))
}

func accountRight(verb, namespace string) right {
	return right{verb, "accounts." + v1.GroupName, namespace}
}

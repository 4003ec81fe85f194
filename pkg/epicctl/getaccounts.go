// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// readyCondition is the condition that summarizes the others.
const readyCondition = "Ready"

type getAccounts struct {
	*tool
	print     *genericclioptions.PrintFlags
	names     []string
	noHeaders bool
}

func newGetAccounts(t *tool) *cobra.Command {
	o := &getAccounts{tool: t, print: newPrintFlags()}
	c := &cobra.Command{
		Use:     "accounts [NAME...] [flags]",
		Example: "  epicctl get accounts -o wide",
		Aliases: []string{"account"},
		Short:   "List accounts with their usage and limits",
		Long: "List accounts with their usage and limits: all accounts, the named ones, or with -n the\n" +
			"account of that namespace.\n\n" +
			"The table counts the objects of each account; -o json and -o yaml print the Account\n" +
			"objects.",
		ValidArgsFunction: completeAccounts(t, true),
		RunE: func(c *cobra.Command, args []string) error {
			o.names = args
			return o.run(c.Context())
		},
	}
	o.print.AddFlags(c)
	c.Flags().Lookup("output").Usage += " Also: wide."
	c.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Print the table without headers.")
	completeOutput(c, o.print, wide)
	return c
}

func (o *getAccounts) run(ctx context.Context) error {
	printer, err := objectPrinter(o.print, wide)
	if err != nil {
		return err
	}
	client, err := o.epic()
	if err != nil {
		return err
	}
	accounts, missing, err := o.find(ctx, client)
	if err != nil {
		return err
	}
	if printer != nil {
		err = o.printObjects(printer, accounts)
	} else {
		err = o.printTable(ctx, client, accounts)
	}
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("account %s does not exist: \"epicctl get accounts\" lists the accounts", missing[0])
	}
	return nil
}

// find reads the requested accounts, sorted by name.
func (o *getAccounts) find(ctx context.Context, client versioned.Interface) (accounts []*v1.Account, missing []string, err error) {
	if len(o.names) == 0 {
		accounts, err = all(ctx, collection[*v1.Account](epic.ResourceAccounts, o.namespace(), client.EpicV1().Accounts(o.namespace()).List))
		slices.SortFunc(accounts, func(a, b *v1.Account) int { return cmp.Compare(a.Name, b.Name) })
		return accounts, nil, err
	}
	for _, name := range o.names {
		if err := checkAccountName(name); err != nil {
			return nil, nil, err
		}
		account, err := getAccount(ctx, client, name)
		switch {
		case apierrors.IsNotFound(err) && !notServed(err):
			missing = append(missing, name)
		case err != nil:
			return nil, nil, err
		default:
			accounts = append(accounts, account)
		}
	}
	return accounts, missing, nil
}

func getAccount(ctx context.Context, client versioned.Interface, name string) (*v1.Account, error) {
	namespace := accountNamespace(name)
	account, err := client.EpicV1().Accounts(namespace).Get(ctx, name, metav1.GetOptions{})
	return account, accountRight("get", namespace).explain(err)
}

func (o *getAccounts) printObjects(printer objectWriter, accounts []*v1.Account) error {
	if len(accounts) == 0 && *o.print.OutputFormat != "name" {
		return objectWriter(func(w io.Writer, _ ...runtime.Object) error {
			p, err := o.print.ToPrinter()
			if err != nil {
				return err
			}
			return p.PrintObj(&metav1.List{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}, Items: []runtime.RawExtension{}}, w)
		}).print(o.Out)
	}
	var objects []runtime.Object
	for _, a := range accounts {
		// Clients omit the type, which the caller knows; set it for the output.
		a.TypeMeta = metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "Account"}
		objects = append(objects, a)
	}
	return printer.print(o.Out, objects...)
}

func (o *getAccounts) printTable(ctx context.Context, client versioned.Interface, accounts []*v1.Account) error {
	if len(accounts) == 0 {
		if len(o.names) == 0 {
			o.note("No accounts found. \"epicctl create account NAME\" creates one.")
		}
		return nil
	}
	use, err := o.use(ctx, client, accounts)
	if err != nil {
		return err
	}
	columns := []column{
		{name: "Name"}, {name: "Namespace"}, {name: "Group ID"}, {name: "Proxies"}, {name: "Load Balancers"}, {name: "Gateways"},
		{name: "Tunnels"}, {name: "Ready"}, {name: "Age"}, {name: "Groups", wide: true}, {name: "Last Service ID", wide: true},
	}
	var rows [][]any
	for _, a := range accounts {
		u := use[a.Namespace]
		rows = append(rows, []any{
			a.Name, a.Namespace, idOrNone(a.Spec.GroupID), fmt.Sprintf("%d/%d", u.proxies(), proxyLimit(a)), u.loadBalancers, u.gateways,
			u.tunnels, readyStatus(a.Status.Conditions), age(a.CreationTimestamp), u.groups, idOrNone(a.Status.CurrentServiceID),
		})
	}
	return printTable(o.Out, *o.print.OutputFormat == wide, o.noHeaders, columns, rows)
}

// use counts objects in all namespaces at once, or in those of a few accounts.
func (o *getAccounts) use(ctx context.Context, client versioned.Interface, accounts []*v1.Account) (map[string]usage, error) {
	if len(o.names) == 0 {
		return usages(ctx, client.EpicV1(), o.namespace())
	}
	out := map[string]usage{}
	for _, a := range accounts {
		u, err := usages(ctx, client.EpicV1(), a.Namespace)
		if err != nil {
			return nil, err
		}
		out[a.Namespace] = u[a.Namespace]
	}
	return out, nil
}

func idOrNone(id int32) string {
	if id == 0 {
		return none
	}
	return strconv.Itoa(int(id))
}

func readyStatus(conditions []metav1.Condition) string {
	if c := meta.FindStatusCondition(conditions, readyCondition); c != nil {
		return string(c.Status)
	}
	return none
}

func age(since metav1.Time) string {
	if since.IsZero() {
		return none
	}
	return duration.HumanDuration(time.Since(since.Time))
}

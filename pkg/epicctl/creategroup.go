// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const groupResource = "lbservicegroups." + v1.GroupName

type createGroup struct {
	*creation[*v1.LBServiceGroup]
	name, prefix, account string
	replicas              int32
	shared                bool
	// given reports whether a flag is set on the command line.
	given func(flag string) bool
}

func newCreateGroup(t *tool) *cobra.Command {
	o := &createGroup{}
	c := &cobra.Command{
		Use:   "group NAME --prefix PREFIX [flags]",
		Short: "Create a service group, which load balancers and proxies select by name",
		Long: "Create a service group. Load balancers and gateway proxies select a group by name, and\n" +
			"get their public addresses from its ServicePrefix.\n\n" +
			"With --account, the group belongs to that account; otherwise every account may use it.",
		Example: "  # A group for all accounts\n" +
			"  epicctl create group web --prefix default\n\n" +
			"  # A group of one account, whose proxies run twice\n" +
			"  epicctl create group web --prefix default --account acme --replicas 2",
		Args:              exactly("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			o.name, o.given = args[0], c.Flags().Changed
			return o.run(c.Context())
		},
	}
	o.creation = newCreation[*v1.LBServiceGroup](t, c)
	c.Flags().StringVar(&o.prefix, "prefix", "", "The ServicePrefix from which the group assigns addresses.")
	c.Flags().StringVar(&o.account, "account", "", "The account of the group. Default: the group is available to all accounts.")
	c.Flags().Int32Var(&o.replicas, "replicas", 0, "Number of Envoy pods for each load balancer and proxy of the group. Default: the server's default.")
	c.Flags().BoolVar(&o.shared, "can-be-shared", false, "Allow one load balancer to serve several clusters of the tenant.")
	must(c.RegisterFlagCompletionFunc("prefix", completePrefixes(t)))
	must(c.RegisterFlagCompletionFunc("account", completeAccounts(t, true)))
	must(c.RegisterFlagCompletionFunc("replicas", cobra.NoFileCompletions))
	return c
}

// check validates the command line, and returns the group's namespace.
func (o *createGroup) check() (namespace string, err error) {
	if err := checkObjectName("group", o.name); err != nil {
		return "", err
	}
	if o.prefix == "" {
		return "", usagef("--prefix is not set: set the ServicePrefix of the group's addresses; \"kubectl get serviceprefixes -n %s\" lists them", epic.ConfigNamespace)
	}
	if err := checkObjectName("--prefix", o.prefix); err != nil {
		return "", err
	}
	if o.given("replicas") && o.replicas < 0 {
		return "", usagef("--replicas is %d: use 0 or more", o.replicas)
	}
	if !o.given("account") {
		return epic.ConfigNamespace, nil
	}
	return accountNamespace(o.account), checkAccountName(o.account)
}

func (o *createGroup) run(ctx context.Context) error {
	namespace, err := o.check()
	if err != nil {
		return err
	}
	want := &v1.LBServiceGroup{
		TypeMeta: metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "LBServiceGroup"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: o.name,
			Labels: map[string]string{epic.OwningServicePrefixLabel: o.prefix},
		},
		Spec: v1.LBServiceGroupSpec{CanBeShared: o.shared},
	}
	if o.given("replicas") {
		want.Spec.EnvoyReplicaCount = &o.replicas
	}
	done, err := o.creation.run(ctx, groupResource, want, func() (kindClient[*v1.LBServiceGroup], error) {
		client, err := o.epic()
		if err != nil {
			return nil, err
		}
		return client.EpicV1().LBServiceGroups(namespace), nil
	}, o.differs)
	if err != nil || !done {
		return err
	}
	who := "Every account"
	if o.given("account") {
		who = "Account " + o.account
	}
	o.next("%s may now use it, with spec.service-group: %s in a load balancer. docs/tenant.md\ndescribes how a tenant publishes a service.", who, o.name)
	return nil
}

// differs compares the values set on the command line.
func (o *createGroup) differs(is *v1.LBServiceGroup) (out []string) {
	out = differ(out, "the prefix", is.Labels[epic.OwningServicePrefixLabel], o.prefix)
	if o.given("replicas") {
		out = differ(out, "spec.envoy-replica-count", ptr.Deref(is.Spec.EnvoyReplicaCount, 1), o.replicas)
	}
	if o.given("can-be-shared") {
		out = differ(out, "spec.can-be-shared", is.Spec.CanBeShared, o.shared)
	}
	return out
}

// checkObjectName rejects a name that the server would reject.
func checkObjectName(what, name string) error {
	if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
		return usagef("%s: %q is not a name: use up to %d lowercase letters, digits and dashes, with a letter or a digit at both ends", what, shortened(name), validation.DNS1123LabelMaxLength)
	}
	return nil
}

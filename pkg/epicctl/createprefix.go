// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const prefixResource = "serviceprefixes." + v1.GroupName

type createPrefix struct {
	*creation[*v1.ServicePrefix]
	name              string
	public, alternate poolFlags
}

// poolFlags holds the flags of one pool.
type poolFlags struct{ pool, subnet, aggregation string }

func newCreatePrefix(t *tool) *cobra.Command {
	o := &createPrefix{}
	c := &cobra.Command{
		Use:   "prefix NAME --pool ADDRESSES [flags]",
		Short: "Create a ServicePrefix, a pool of public addresses",
		Long: "Create a ServicePrefix: public addresses for service groups, and how gateway nodes\n" +
			"announce them. Route its subnet to the gateway nodes, or let the nodes or a routing\n" +
			"daemon announce it.",
		Example: "  epicctl create prefix default --pool 192.0.2.0/28\n" +
			"  epicctl create prefix few --pool 203.0.113.5-203.0.113.9 --subnet 203.0.113.0/24 --aggregation /32",
		Args:              exactly("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(c.Context())
		},
	}
	o.creation = newCreation[*v1.ServicePrefix](t, c)
	add := func(p *poolFlags, before, what string) {
		c.Flags().StringVar(&p.pool, before+"pool", "", what+", as a CIDR or as FIRST-LAST.")
		c.Flags().StringVar(&p.subnet, before+"subnet", "", "The subnet of the addresses, as a CIDR. Default: the pool itself if it is a CIDR.")
		c.Flags().StringVar(&p.aggregation, before+"aggregation", "default", "The mask with which an address is announced, such as /32, or default for the subnet's.")
		for _, name := range []string{"pool", "subnet", "aggregation"} {
			must(c.RegisterFlagCompletionFunc(before+name, cobra.NoFileCompletions))
		}
	}
	add(&o.public, "", "The public addresses")
	add(&o.alternate, "alt-", "IPv4 addresses for proxies whose public address is an IPv6 address")
	return c
}

// spec validates one pool's flags, whose names begin with before.
func (p *poolFlags) spec(before string) (*v1.AddressPool, error) {
	if _, err := addresspool.Parse(p.pool); err != nil {
		return nil, usagef("--%spool: %v", before, err)
	}
	subnet := p.subnet
	if subnet == "" {
		if strings.Contains(p.pool, "-") {
			return nil, usagef("--%ssubnet is not set: with FIRST-LAST as the pool, set the subnet of the addresses, such as 203.0.113.0/24", before)
		}
		subnet = p.pool
	}
	if _, err := netip.ParsePrefix(subnet); err != nil {
		return nil, usagef("--%ssubnet: %q is not a CIDR: write it as 203.0.113.0/24", before, shortened(subnet))
	}
	return &v1.AddressPool{Pool: p.pool, Subnet: subnet, Aggregation: p.aggregation}, nil
}

func (o *createPrefix) run(ctx context.Context) (err error) {
	if err := checkObjectName("prefix", o.name); err != nil {
		return err
	}
	want := &v1.ServicePrefix{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "ServicePrefix"},
		ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: o.name},
	}
	if o.public.pool == "" {
		return usagef("--pool is not set: set it to a CIDR such as 192.0.2.0/28, or to FIRST-LAST with --subnet")
	}
	if want.Spec.PublicPool, err = o.public.spec(""); err != nil {
		return err
	}
	switch {
	case o.alternate.pool != "":
		if want.Spec.AltPool, err = o.alternate.spec("alt-"); err != nil {
			return err
		}
	case o.alternate.subnet != "":
		return usagef("--alt-subnet requires --alt-pool: set the addresses too")
	}
	done, err := o.creation.run(ctx, prefixResource, want, func() (kindClient[*v1.ServicePrefix], error) {
		client, err := o.epic()
		if err != nil {
			return nil, err
		}
		return client.EpicV1().ServicePrefixes(epic.ConfigNamespace), nil
	}, func(is *v1.ServicePrefix) []string {
		out := differPool(nil, "public-pool", is.Spec.PublicPool, want.Spec.PublicPool)
		return differPool(out, "alt-pool", is.Spec.AltPool, want.Spec.AltPool)
	})
	if err != nil || !done {
		return err
	}
	o.next("Create a service group that uses its addresses:\n  epicctl create group NAME --prefix %s", o.name)
	return nil
}

// differPool compares a pool with the wanted one, if any.
func differPool(out []string, name string, is, want *v1.AddressPool) []string {
	if want == nil {
		return out
	}
	if is == nil {
		return append(out, "it has no "+name)
	}
	out = differ(out, name+".pool", is.Pool, want.Pool)
	out = differ(out, name+".subnet", is.Subnet, want.Subnet)
	return differ(out, name+".aggregation", is.Aggregation, want.Aggregation)
}

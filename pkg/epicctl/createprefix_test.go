// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func TestCreatePrefix(t *testing.T) {
	i := install(t)
	prefixes := i.client.EpicV1().ServicePrefixes(epic.ConfigNamespace)
	i.run(t, "create", "prefix", "more", "--pool", "198.51.100.0/28").want(t, ExitOK, "serviceprefixes.epic.acnodal.io/more created", "Next: Create a service group", "--prefix more")
	got, err := prefixes.Get(t.Context(), "more", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p := got.Spec.PublicPool; p.Pool != "198.51.100.0/28" || p.Subnet != "198.51.100.0/28" || p.Aggregation != "default" {
		t.Errorf("The pool is %+v", p)
	}
	i.run(t, "create", "prefix", "both", "--pool", "2001:db8::/64", "--aggregation", "/128", "--alt-pool", "203.0.113.5-203.0.113.9", "--alt-subnet", "203.0.113.0/24").want(t, ExitOK, "both created")
	if got, err = prefixes.Get(t.Context(), "both", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if p := got.Spec.AltPool; p.Pool != "203.0.113.5-203.0.113.9" || p.Subnet != "203.0.113.0/24" || got.Spec.PublicPool.Aggregation != "/128" {
		t.Errorf("The pools are %+v and %+v", got.Spec.PublicPool, p)
	}

	i.run(t, "create", "prefix", "more", "--pool", "198.51.100.0/28").want(t, ExitOK, "more unchanged")
	i.run(t, "create", "prefix", "more", "--pool", "198.51.100.0/27").want(t, ExitFailure, "public-pool.pool is 198.51.100.0/28, not 198.51.100.0/27")
	i.run(t, "create", "prefix", "more", "--pool", "198.51.100.0/28", "--alt-pool", "10.0.0.0/24").want(t, ExitFailure, "it has no alt-pool")
	i.run(t, "create", "prefix", "overlap", "--pool", "198.51.100.0/29").want(t, ExitFailure, `the server refuses ServicePrefix "overlap":`, "spec.public-pool")
	r := i.run(t, "create", "prefix", "dry", "--pool", "10.1.0.0/24", "--dry-run", "-o", "yaml")
	r.want(t, ExitOK, "kind: ServicePrefix", "pool: 10.1.0.0/24", "subnet: 10.1.0.0/24")
	r.lacks(t, "Next")

	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "--pool is not set"},
		{[]string{"--pool", "many"}, "--pool:"},
		{[]string{"--pool", "192.0.2.5-192.0.2.9"}, "--subnet is not set"},
		{[]string{"--pool", "192.0.2.5-192.0.2.9", "--subnet", "192.0.2"}, "is not a CIDR"},
		{[]string{"--pool", "192.0.2.0/28", "--alt-pool", "x"}, "--alt-pool:"},
		{[]string{"--pool", "192.0.2.0/28", "--alt-subnet", "10.0.0.0/8"}, "--alt-subnet requires --alt-pool"},
	} {
		i.run(t, append([]string{"create", "prefix", "bad"}, test.args...)...).want(t, ExitUsage, test.want)
	}
	i.run(t, "create", "prefix", "B/d", "--pool", "192.0.2.0/28").want(t, ExitUsage, "is not a name")
}

// Whoever creates an account hears what it still lacks.
func TestNextOfAccount(t *testing.T) {
	i := install(t)
	r := i.run(t, "create", "account", "acme")
	r.want(t, ExitOK, "Next: Create a service group, because the account", "epicctl create group web --account acme --prefix pool", "docs/tenant.md")
	r.lacks(t, "create prefix", "--admin-user")
	i.run(t, "create", "account", "acme", "--proxy-limit=3", "-o", "name").lacks(t, "Next")
	i.run(t, "create", "account", "acme", "--dry-run=server").lacks(t, "Next")

	i.beside()
	i.run(t, "create", "account", "beta").want(t, ExitOK, "--admin-user NAME", "epicctl create kubeconfig beta --node ADDRESS")
	i.run(t, "create", "account", "beta", "--admin-user", "jane").lacks(t, "--admin-user NAME")

	i.run(t, "create", "group", "web", "--prefix", "pool").want(t, ExitOK)
	r = i.run(t, "create", "account", "acme")
	r.want(t, ExitOK, "Its load balancers may use the service group web")
	r.lacks(t, "create group")

	c := i.client.EpicV1()
	if err := c.LBServiceGroups(epic.ConfigNamespace).Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.ServicePrefixes(epic.ConfigNamespace).Delete(t.Context(), "pool", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	i.run(t, "create", "account", "acme").want(t, ExitOK, "epicctl create prefix default --pool 192.0.2.0/28", "epicctl create group web --account acme --prefix default")
}

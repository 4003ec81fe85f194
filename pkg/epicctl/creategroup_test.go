// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func TestCreateGroup(t *testing.T) {
	i := install(t)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	group := func(account, name string) map[string]string {
		ns := epic.ConfigNamespace
		if account != "" {
			ns = accountNamespace(account)
		}
		g, err := i.client.EpicV1().LBServiceGroups(ns).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return nil
		}
		if name == "pair" && (*g.Spec.EnvoyReplicaCount != 2 || !g.Spec.CanBeShared) {
			t.Errorf("%s is %+v", name, g.Spec)
		}
		return g.Labels
	}

	i.run(t, "create", "group", "pair", "--prefix", "pool", "--account", "acme", "--replicas", "2", "--can-be-shared").
		want(t, ExitOK, "lbservicegroups.epic.acnodal.io/pair created", "Next: Account acme may now use it", "spec.service-group: pair")
	if got := group("acme", "pair"); got[epic.OwningServicePrefixLabel] != "pool" || got[epic.OwningAccountLabel] != "acme" {
		t.Errorf("The labels are %v", got)
	}
	i.run(t, "create", "group", "web", "--prefix", "pool").want(t, ExitOK, "web created", "Every account may now use it")
	if group("", "web") == nil {
		t.Error("The group for all accounts is not there")
	}

	t.Run("again", func(t *testing.T) {
		i.run(t, "create", "group", "web", "--prefix", "pool").want(t, ExitOK, "web unchanged")
		i.run(t, "create", "group", "pair", "--prefix", "pool", "--account", "acme", "--replicas", "3").
			want(t, ExitFailure, "already exists and differs: spec.envoy-replica-count is 2, not 3", "kubectl edit -n epic-acme lbservicegroups.epic.acnodal.io pair")
	})
	t.Run("dry runs", func(t *testing.T) {
		r := i.run(t, "create", "group", "dry", "--prefix", "pool", "--dry-run=client", "-o", "yaml")
		r.want(t, ExitOK, "kind: LBServiceGroup", "namespace: epic", "epic.acnodal.io/owning-serviceprefix: pool")
		r.lacks(t, "Next")
		i.run(t, "create", "group", "dry", "--prefix", "pool", "--dry-run=server").want(t, ExitOK, "dry created (server dry run)")
		i.run(t, "create", "group", "dry", "--prefix", "none", "--dry-run=server").want(t, ExitFailure, `the server refuses LBServiceGroup "dry":`, "metadata.labels")
		if group("", "dry") != nil {
			t.Error("A dry run created it")
		}
	})
	t.Run("what can't be", func(t *testing.T) {
		for _, test := range []struct {
			args []string
			code int
			want string
		}{
			{[]string{"web2"}, ExitUsage, "--prefix is not set"},
			{[]string{"Web", "--prefix", "pool"}, ExitUsage, `group: "Web" is not a name`},
			{[]string{"web2", "--prefix", "a/b"}, ExitUsage, "--prefix:"},
			{[]string{"web2", "--prefix", "pool", "--replicas=-1"}, ExitUsage, "--replicas is -1"},
			{[]string{"web2", "--prefix", "pool", "--account="}, ExitUsage, "has no name"},
			{[]string{"web2", "--prefix", "pool", "--account", "nobody"}, ExitFailure, "the server refuses LBServiceGroup"},
			{[]string{"--prefix", "pool"}, ExitUsage, "takes NAME"},
		} {
			i.run(t, append([]string{"create", "group"}, test.args...)...).want(t, test.code, test.want)
		}
	})
}

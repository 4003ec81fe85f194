// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// next prints the next steps to standard error, so the result can be piped.
func (t *tool) next(format string, args ...any) {
	t.note("\nNext:\n"+format, args...)
}

// nextOfAccount prints what an account still lacks, and the next steps of its tenant.
func (o *createAccount) nextOfAccount(ctx context.Context, around surroundings, bindings int) {
	var steps string
	step := func(format string, args ...any) { steps += fmt.Sprintf(format+"\n", args...) }
	switch groups, prefixes := usable(ctx, o.epicClient, o.name); {
	case groups == none:
		if prefixes == none {
			step("  Add public addresses, because there are none yet:\n    epicctl create prefix default --pool 192.0.2.0/28")
			prefixes = "default"
		}
		step("  Create a service group, because the account can't use any yet:\n    epicctl create group web --account %s --prefix %s", o.name, prefixes)
	case groups != "":
		step("  Its load balancers may use the service group %s.", groups)
	}
	if around.rbac && bindings == 0 {
		step("  Grant somebody access:\n    epicctl create account %s --admin-user NAME", o.name)
	}
	if around.namespaces {
		step("  Connect a cluster of the tenant, to publish its Gateways and Services:\n"+
			"    epicctl connect --account %[1]s --cluster CLUSTER -f CLUSTER.yaml\n"+
			"  Grant access to a program of the tenant, and to its hosts without Kubernetes:\n"+
			"    epicctl create account %[1]s --service-account epic-%[1]s/deployer\n"+
			"    epicctl create kubeconfig %[1]s --service-account deployer -f %[1]s.kubeconfig\n"+
			"    epicctl create kubeconfig %[1]s --node ADDRESS -f node.kubeconfig", o.name)
	}
	step("  docs/tenant.md describes how the tenant publishes a service; \"epicctl describe account %s\"\n  shows the account.", o.name)
	o.note("\nNext:\n%s", steps[:len(steps)-1])
}

// usable returns a service group that an account may use and an existing prefix: none if
// there is none, and nothing if that is unknown.
func usable(ctx context.Context, client versioned.Interface, account string) (group, prefix string) {
	group, prefix = none, none
	one := metav1.ListOptions{Limit: 1}
	for _, namespace := range []string{accountNamespace(account), epic.ConfigNamespace} {
		list, err := client.EpicV1().LBServiceGroups(namespace).List(ctx, one)
		switch {
		case err != nil:
			return "", ""
		case len(list.Items) > 0:
			return list.Items[0].Name, ""
		}
	}
	list, err := client.EpicV1().ServicePrefixes(epic.ConfigNamespace).List(ctx, one)
	switch {
	case err != nil:
		return "", ""
	case len(list.Items) > 0:
		prefix = list.Items[0].Name
	}
	return group, prefix
}

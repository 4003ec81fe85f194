// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// hard is what the quota of an account counts, and up to which number.
func hard(t *testing.T, kube *fake.Clientset, account string) map[string]int64 {
	t.Helper()
	q, err := kube.CoreV1().ResourceQuotas(accountNamespace(account)).Get(t.Context(), quotaName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for name, n := range q.Spec.Hard {
		out[string(name)] = n.Value()
	}
	return out
}

func TestQuota(t *testing.T) {
	i := install(t)
	kube := i.beside()
	i.run(t, "create", "account", "acme").want(t, ExitOK, "resourcequota/epic-account created")
	if got := hard(t, kube, "acme"); len(got) != 4 || got["count/remoteendpoints.epic.acnodal.io"] != 5000 || got["count/gwroutes.epic.acnodal.io"] != 1000 ||
		got["count/gwendpointslices.epic.acnodal.io"] != 2000 || got["count/lbservicegroups.epic.acnodal.io"] != 100 {
		t.Errorf("The quota is %v", got)
	}
	i.run(t, "create", "account", "acme").want(t, ExitOK, "resourcequota/epic-account unchanged")
	i.run(t, "create", "account", "acme", "--quota", "gwroutes=7", "--quota=loadbalancers=3").want(t, ExitOK, "resourcequota/epic-account configured")
	// Changed counts stay, whether this command or somebody else changed them.
	i.run(t, "create", "account", "acme").want(t, ExitOK, "resourcequota/epic-account unchanged")
	if got := hard(t, kube, "acme"); len(got) != 5 || got["count/gwroutes.epic.acnodal.io"] != 7 || got["count/loadbalancers.epic.acnodal.io"] != 3 || got["count/remoteendpoints.epic.acnodal.io"] != 5000 {
		t.Errorf("The quota is %v", got)
	}
	r := i.run(t, "create", "account", "free", "--no-quota")
	r.want(t, ExitOK, "account.epic.acnodal.io/free created")
	r.lacks(t, "resourcequota")
	i.run(t, "create", "account", "paper", "--quota=gwroutes=0", "--dry-run=client", "-o", "yaml").want(t, ExitOK,
		"kind: ResourceQuota", `count/gwroutes.epic.acnodal.io: "0"`, "count/remoteendpoints.epic.acnodal.io: 5k")
}

func TestQuotaBadInput(t *testing.T) {
	i := install(t)
	kube := i.beside()
	for _, test := range []struct{ args []string }{
		{[]string{"--quota=gwroutes"}},
		{[]string{"--quota=pods=1"}},
		{[]string{"--quota=gwroutes=-1"}},
		{[]string{"--quota=gwroutes=many"}},
		{[]string{"--quota=gwroutes=1", "--no-quota"}},
	} {
		i.run(t, append([]string{"create", "account", "a"}, test.args...)...).want(t, ExitUsage, "--quota")
	}
	if w := writes(kube); len(w) > 0 {
		t.Errorf("It wrote: %q", w)
	}
}

// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"strings"
	"testing"
	"time"

	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
)

// TestDependentsGoWithTheirOwners is about a server alone, which has no
// kube-controller-manager to collect garbage.
func TestDependentsGoWithTheirOwners(t *testing.T) {
	server := testserver.StartTestServer(t)
	k := newKubectl(t, server.Kubeconfig)
	k.apply(t, tenants, "apply", "-f", "-")
	unlist := func(name string) {
		k.run(t, "patch", "-n", "epic-one", "lb", name, "--type=merge", "-p", `{"spec":{"upstream-clusters":[]}}`)
	}
	again := func() {
		eventually(t, "the load balancer is gone", func() bool { return k.run(t, "get", "lb", "-A", "-o", "name") == "" })
		k.apply(t, tenants, "apply", "-f", "-")
	}
	endpoints := func() string { return k.run(t, "get", "rep", "-A", "-o", "name") }

	for _, how := range []string{"background", "foreground"} {
		unlist("first")
		k.run(t, "delete", "-n", "epic-one", "lb", "first", "--cascade="+how, "--timeout=30s")
		eventually(t, "the endpoint is gone after a deletion in the "+how, func() bool { return endpoints() == "" })
		again()
	}
	unlist("first")
	k.run(t, "delete", "-n", "epic-one", "lb", "first", "--cascade=orphan", "--timeout=30s")
	time.Sleep(500 * time.Millisecond)
	if !strings.Contains(endpoints(), "pod1") {
		t.Error("an orphaned endpoint was deleted")
	}
	if out := k.run(t, "get", "-n", "epic-one", "rep", "pod1", "-o", "yaml"); strings.Contains(out, "ownerReferences") {
		t.Errorf("an orphan still has its owner:\n%s", out)
	}
	cleanAudit(t, k)
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not so within 30 s: %s", what)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"
	"time"
)

// A backup brings back all that was there, after all else is lost: the members,
// their volumes, and the authorities that signed their certificates.
func TestBackupAndRestore(t *testing.T) {
	c := epic(t)
	ns := c.account(t, "saved")
	c.everything(t, ns)
	inf := informer(t, c, ns)
	aside(t, "epic.db")
	// What there is, but for where in etcd's history it is.
	state := func() string {
		return c.run(t, "get", "-A", "-o", `jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.uid} {.spec} {.status}{"\n"}{end}`,
			"epics,serviceprefixes,accounts,lbservicegroups,loadbalancers,remoteendpoints,gwproxies,gwroutes,gwendpointslices")
	}
	before := state()
	if err := c.documented("Back up"); err != nil {
		t.Fatal(err)
	}
	c.with(t, loadBalancer(ns, "later"), "apply", "-f", "-")
	c.run(t, "delete", "-n", ns, "loadbalancers.epic.acnodal.io", "plain")

	// The members start anew, on nothing.
	c.run(t, "delete", "pvc", "--namespace", system, "--selector=app.kubernetes.io/name=epic-etcd", "--wait=false")
	c.run(t, "delete", "pod", "--namespace", system, "--selector=app.kubernetes.io/name=epic-etcd", "--grace-period=0", "--force")
	server := c.pods(t, "epic-apiserver")[0].Name
	eventually(t, 2*time.Minute, func() string {
		if out := c.readyz(server); !strings.Contains(out, "the claim schema key is missing") && !strings.Contains(out, "[-]claim-schema") {
			return "the server does not notice that its data is gone:\n" + out
		}
		return ""
	})

	if err := c.documented("Restore", "EPIC_YES=1"); err != nil {
		t.Fatal(err)
	}
	if after := state(); after != before {
		t.Errorf("There was:\n%s\nand there is:\n%s", before, after)
	}
	c.audited(t)
	// Clients who saw what is gone learn what is there.
	follows(t, c, ns, inf)
	c.with(t, loadBalancer(ns, "new"), "apply", "-f", "-")
	c.audited(t)
}

// All certificates can be replaced, with the authorities that signed them.
func TestNewAuthority(t *testing.T) {
	c := epic(t)
	authority := func() string {
		return c.run(t, "get", "apiservice", apiService, "-o", "jsonpath={.spec.caBundle}") +
			c.run(t, "get", "secret", "--namespace", system, "epic-etcd-ca", "-o", `jsonpath={.data.tls\.crt}`)
	}
	before := authority()
	if err := c.documented("A new authority"); err != nil {
		t.Fatal(err)
	}
	if authority() == before {
		t.Error("The authorities are the old ones")
	}
	c.everything(t, c.account(t, "trusting"))
	c.audited(t)
}

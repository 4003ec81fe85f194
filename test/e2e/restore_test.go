// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

// A backup brings back everything that was there, after all else is lost: the members,
// their volumes, and the authorities that signed their certificates.
func TestBackupAndRestore(t *testing.T) {
	c := epic(t)
	if err := c.cleared(); err != nil {
		t.Fatal(err)
	}
	ns := c.account(t, "saved")
	c.everything(t, ns)
	aside(t, "epic.db")
	// state returns all objects without their resource versions.
	state := func() string {
		return c.run(t, "get", "-A", "-o", `jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name} {.metadata.uid} {.spec} {.status}{"\n"}{end}`,
			"epics,serviceprefixes,accounts,lbservicegroups,loadbalancers,remoteendpoints,gwproxies,gwroutes,gwendpointslices,gatewaynodes")
	}
	// The controller may still have something to say about what was just made.
	before := state()
	eventually(t, 30*time.Second, func() string {
		time.Sleep(2 * time.Second)
		old := before
		if before = state(); before != old {
			return "what is there still changes:\n" + before
		}
		return ""
	})
	if err := c.documented("One snapshot now"); err != nil {
		t.Fatal(err)
	}
	aside(t, "scheduled.db")
	t.Cleanup(func() {
		c.run(t, "delete", "-k", "artifacts/install/backup", "--ignore-not-found", "--wait=false")
	})
	if err := c.documented("Scheduled snapshots"); err != nil {
		out, _ := c.try("", "describe", "-n", system, "pods,pvc", "-l", "app.kubernetes.io/name in (epic-backup,epic-backup-fetch)")
		logs, _ := c.try("", "logs", "-n", system, "-l", "app.kubernetes.io/name=epic-backup")
		t.Fatalf("%v\n%s\n%s", err, out, logs)
	}
	// The scheduled snapshot is restored.
	if err := os.Rename(filepath.Join(root, "scheduled.db"), filepath.Join(root, "epic.db")); err != nil {
		t.Fatal(err)
	}
	// When all is well it says nothing of what is not.
	quiet := script("hack/backup.sh", filepath.Join(t.TempDir(), "epic.db"))
	quiet.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "KUBECTL="+c.kubectl)
	if out, err := quiet.CombinedOutput(); err != nil || strings.Contains(strings.ToLower(string(out)), "err") {
		t.Errorf("A second backup: %v\n%s", err, out)
	}
	c.with(t, loadBalancer(ns, "later"), "apply", "-f", "-")
	seen := c.run(t, "get", "-n", ns, "loadbalancers.epic.acnodal.io", "later", "-o", "jsonpath={.metadata.resourceVersion}")
	c.run(t, "delete", "-n", ns, "loadbalancers.epic.acnodal.io", "plain")

	// The members start again, on nothing.
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
	// A client that saw what is gone can't continue from there: it has to list again.
	client, err := dynamic.NewForConfig(c.config(t))
	if err != nil {
		t.Fatal(err)
	}
	w, err := client.Resource(group.WithResource("loadbalancers")).Namespace(ns).Watch(t.Context(), metav1.ListOptions{ResourceVersion: seen})
	if err == nil {
		select {
		case event := <-w.ResultChan():
			err = apierrors.FromObject(event.Object)
		case <-time.After(30 * time.Second):
			err = errors.New("the watch goes on")
		}
		w.Stop()
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("Whoever watches from before the loss is not told: %v", err)
	}
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
	if err := c.cleared(); err != nil {
		t.Fatal(err)
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

// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"

	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/registry/claims"
)

// Audit records state who wrote which object, what the server claimed for it, and what it
// released, with the policy that ships.
func TestAuditRecords(t *testing.T) {
	log := filepath.Join(t.TempDir(), "audit")
	server := testserver.StartTestServer(t, shippedPolicy,
		"--audit-log-path="+log, "--audit-log-mode=blocking")
	k := newKubectl(t, server.Kubeconfig)
	lb := []string{"-n", "epic-root", "lb", "sample-acnodal"}
	k.run(t, "apply", "-f", samples)
	k.run(t, append([]string{"patch", "--subresource=status", "--type=merge", "-p", `{"status":{"gue-tunnel-endpoints":{
		"192.168.1.16":{"epic-address":"192.168.1.40"},"192.168.1.25":{"epic-address":"192.168.1.40"}}}}`}, lb...)...)
	// None of these claims or releases anything.
	k.run(t, append([]string{"patch", "--type=merge", "-p", `{"metadata":{"labels":{"a":"b"}}}`}, lb...)...)
	k.run(t, append([]string{"delete", "--dry-run=server"}, lb...)...)
	k.refused(t, "", "delete", "-n", "epic-root", "account", "root")
	if err := clientset.NewForConfigOrDie(server.Config).EpicV1().LoadBalancers("epic-root").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	k.run(t, "delete", "-n", "epic-root", "lbsg", "sample")
	k.run(t, "delete", "-n", "epic-root", "account", "root")

	want := []string{
		"create epics epic/epic",
		"create serviceprefixes epic/default epic.acnodal.io/claimed=pool 192.168.77.2-192.168.77.254",
		"create accounts epic-root/root epic.acnodal.io/claimed=group 1",
		"create lbservicegroups epic-root/sample",
		"create loadbalancers epic-root/sample-acnodal epic.acnodal.io/claimed=address 192.168.77.2, quota slot N, service 1",
		"patch loadbalancers/status epic-root/sample-acnodal epic.acnodal.io/claimed=tunnel 1-2",
		"patch loadbalancers epic-root/sample-acnodal",
		"delete loadbalancers epic-root/sample-acnodal",
		"delete accounts epic-root/root refused",
		"deletecollection loadbalancers epic-root/ epic.acnodal.io/released/sample-acnodal=address 192.168.77.2, quota slot N, service 1, tunnel 1-2",
		"delete lbservicegroups epic-root/sample",
		"delete accounts epic-root/root epic.acnodal.io/released=group 1",
	}
	if got := writes(t, log, "epic-admin"); !slices.Equal(got, want) {
		t.Errorf("The records are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var slot = regexp.MustCompile(`quota slot \d+`)

// writes returns a line for each record of a write by a user. The number of the
// quota slot is arbitrary.
func writes(t *testing.T, log, user string) (out []string) {
	t.Helper()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var e auditv1.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.ObjectRef == nil {
			t.Fatalf("%v: %s", err, line)
		}
		if e.RequestObject != nil || e.ResponseObject != nil {
			t.Errorf("A record has the content of an object: %s", line)
		}
		if e.User.Username != user || slices.Contains([]string{"get", "list", "watch"}, e.Verb) {
			continue
		}
		resource := strings.TrimSuffix(e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource, "/")
		text := e.Verb + " " + resource + " " + e.ObjectRef.Namespace + "/" + e.ObjectRef.Name
		for _, key := range slices.Sorted(maps.Keys(e.Annotations)) {
			if strings.HasPrefix(key, claims.ClaimedAnnotation) || strings.HasPrefix(key, claims.ReleasedAnnotation) {
				text += " " + key + "=" + slot.ReplaceAllString(e.Annotations[key], "quota slot N")
			}
		}
		if e.ResponseStatus.Code >= 300 {
			text += " refused"
		}
		out = append(out, text)
	}
	return out
}

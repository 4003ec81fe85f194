// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	epicclient "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

// A server never has a claim too many or too few, so what it would report
// has to be put into its client's mouth.
type (
	auditedClient struct {
		versioned.Interface
		report *v1.ClaimAudit
	}
	auditedGroup struct {
		epicclient.EpicV1Interface
		report *v1.ClaimAudit
	}
	auditedEPICs struct {
		epicclient.EPICInterface
		report *v1.ClaimAudit
	}
)

func (c auditedClient) EpicV1() epicclient.EpicV1Interface {
	return auditedGroup{c.Interface.EpicV1(), c.report}
}

func (c auditedGroup) EPICs(ns string) epicclient.EPICInterface {
	return auditedEPICs{c.EpicV1Interface.EPICs(ns), c.report}
}

func (c auditedEPICs) Audit(context.Context, string, metav1.GetOptions) (*v1.ClaimAudit, error) {
	return c.report, nil
}

func (i *installation) reports(report *v1.ClaimAudit) {
	i.epic = func(client versioned.Interface) versioned.Interface { return auditedClient{client, report} }
}

func TestAudit(t *testing.T) {
	i := install(t)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fill(t, "acme")
	i.run(t, "audit").want(t, ExitOK, "8 objects and", "claims at revision", "They agree.")
	r := i.run(t, "audit", "-o", "json")
	var report v1.ClaimAudit
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || !report.Clean || report.Kind != "ClaimAudit" {
		t.Errorf("%v: %s", err, r)
	}

	i.reports(&v1.ClaimAudit{Objects: 1, Claims: 2, Revision: 17, Problems: []v1.ClaimProblem{
		{Type: v1.ClaimOrphaned, Claim: "tunnel/17", Resource: "loadbalancers", Namespace: "epic-acme", Name: "gone", Message: "its object is not there"},
	}})
	r = i.run(t, "audit")
	r.want(t, ExitFailure, "1 object and 2 claims", "They differ in 1 place", "orphaned tunnel/17 loadbalancers epic-acme/gone its object is not there", "epic-apiserver snapshot")
	if r.stderr != "" {
		t.Errorf("Beside its report it says %q", r.stderr)
	}
	i.run(t, "audit", "-o", "yaml").want(t, ExitFailure, "claim: tunnel/17")
	i.run(t, "status").want(t, ExitFailure, "claims FAIL objects and claims differ in 1 place", `claims: "epicctl audit" lists them`)
}

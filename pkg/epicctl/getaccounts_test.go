// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"encoding/json"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestGetAccounts(t *testing.T) {
	i := install(t)
	i.run(t, "get", "accounts").want(t, ExitOK, "No accounts found", "epicctl create account NAME")
	i.run(t, "get", "accounts", "-o", "json").want(t, ExitOK, `"items": []`)

	i.run(t, "create", "account", "beta", "--proxy-limit", "0").want(t, ExitOK)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fill(t, "acme")
	acme := i.account(t, "acme")
	acme.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "True", Reason: "Fine", LastTransitionTime: metav1.Now()}}
	if _, err := i.client.EpicV1().Accounts("epic-acme").UpdateStatus(t.Context(), acme, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	const (
		header  = "NAME NAMESPACE GROUP ID PROXIES LOAD BALANCERS GATEWAYS TUNNELS READY AGE"
		acmeRow = "acme epic-acme 2 2/20 1 1 2 True"
		betaRow = "beta epic-beta 1 0/0 0 0 0 -"
	)
	r := i.run(t, "get", "accounts")
	r.want(t, ExitOK, header, acmeRow, betaRow)
	if strings.Index(r.stdout, "acme") > strings.Index(r.stdout, "beta") {
		t.Errorf("They are not in the order of their names:\n%s", r)
	}
	r = i.run(t, "get", "account", "beta", "acme", "--no-headers")
	r.want(t, ExitOK, acmeRow, betaRow)
	r.lacks(t, header)
	r = i.run(t, "get", "accounts", "-n", "epic-acme")
	r.want(t, ExitOK, acmeRow)
	r.lacks(t, "beta")
	i.run(t, "get", "accounts", "-o", "wide").want(t, ExitOK, header+" GROUPS LAST SERVICE ID")
	i.run(t, "get", "accounts", "-o", "name").want(t, ExitOK, "account.epic.acnodal.io/acme account.epic.acnodal.io/beta")
	i.run(t, "get", "accounts", "acme", "-o", "jsonpath={.spec.group-id}").want(t, ExitOK, "2")
	i.run(t, "get", "accounts", "-o", "yaml").want(t, ExitOK, "apiVersion: epic.acnodal.io/v1 kind: Account", "name: beta")
	r = i.run(t, "get", "accounts", "acme", "nobody")
	r.want(t, ExitFailure, acmeRow, "account nobody does not exist", "epicctl get accounts")

	var list struct {
		Kind  string
		Items []struct {
			Kind     string
			Metadata struct{ Name string }
		}
	}
	r = i.run(t, "get", "accounts", "-o", "json")
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil {
		t.Fatalf("%v: %s", err, r)
	}
	if len(list.Items) != 2 || list.Items[0].Kind != "Account" || list.Items[0].Metadata.Name != "acme" {
		t.Errorf("The list is %+v", list)
	}
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func TestTransitions(t *testing.T) {
	c := func(s string) (all []metav1.Condition) {
		for _, f := range strings.Fields(s) {
			name, rest, _ := strings.Cut(f, "=")
			status, reason, _ := strings.Cut(rest, "/")
			all = append(all, metav1.Condition{Type: name, Status: metav1.ConditionStatus(status), Reason: reason, Message: reason})
		}
		return all
	}
	const (
		lb, prefix, account, installation, endpoint = epic.ResourceLoadBalancers, epic.ResourceServicePrefixes, epic.ResourceAccounts, epic.ResourceEPICs, epic.ResourceRemoteEndpoints

		up   = "TunnelsUp=True/Up Ready=True/Ready"
		some = "TunnelsUp=False/SomeTunnelsDown Ready=True/Ready"
		down = "TunnelsUp=False/AllTunnelsDown Ready=False/AllTunnelsDown"
	)
	for name, test := range map[string]struct{ plural, before, now, want string }{
		"a new proxy is not ready":     {lb, "", "Ready=False/NoEndpoints", ""},
		"nothing changes":              {lb, up, up, ""},
		"it gets ready":                {lb, "Ready=False/NoEndpoints", "Ready=True/Ready", "Ready"},
		"ready, and tunnels up":        {lb, "Ready=False/NoProxies", up, "Ready"},
		"tunnels up later":             {lb, "Ready=True/Ready", up, "TunnelsUp"},
		"some down":                    {lb, up, some, "!SomeTunnelsDown"},
		"all down":                     {lb, some, down, "!AllTunnelsDown"},
		"all down at once":             {lb, up, down, "!AllTunnelsDown"},
		"up again":                     {lb, down, up, "Ready"},
		"some up again":                {lb, some, up, "TunnelsUp"},
		"not reported":                 {lb, up, "TunnelsUp=Unknown/NotReported Ready=True/Ready", "!TunnelsNotReported"},
		"reported again":               {lb, "TunnelsUp=Unknown/NotReported Ready=True/Ready", up, "TunnelsUp"},
		"not ready for another reason": {lb, up, "TunnelsUp=True/Up Ready=False/RejectedByProxy", "!NotReady"},
		"another reason not to be":     {lb, "Ready=False/NoEndpoints", "Ready=False/NoProxies", ""},
		"an endpoint is up at first":   {endpoint, "TunnelReady=True/Assigned", "TunnelReady=True/Up", ""},
		"it is down":                   {endpoint, "TunnelReady=True/Up", "TunnelReady=False/AllTunnelsDown", "!AllTunnelsDown"},
		"it is up again":               {endpoint, "TunnelReady=False/AllTunnelsDown", "TunnelReady=True/Up", "TunnelsUp"},
		"it waits for a tunnel":        {endpoint, "TunnelReady=False/TunnelPending", "TunnelReady=True/Up", ""},
		"a new pool":                   {prefix, "", "AddressesAvailable=True/Available", ""},
		"few addresses":                {prefix, "AddressesAvailable=True/Available", "AddressesAvailable=True/NearlyExhausted", "!AddressesNearlyExhausted"},
		"none":                         {prefix, "AddressesAvailable=True/NearlyExhausted", "AddressesAvailable=False/Exhausted", "!AddressesExhausted"},
		"enough again":                 {prefix, "AddressesAvailable=False/Exhausted", "AddressesAvailable=True/Available", "AddressesAvailable"},
		"a quota is nearly used":       {account, "QuotaAvailable=True/Available", "QuotaAvailable=True/QuotaNearlyExhausted", "!QuotaNearlyExhausted"},
		"it is used":                   {account, "QuotaAvailable=True/Available Ready=True/Ready", "QuotaAvailable=False/QuotaExhausted Ready=True/Ready", "!QuotaExhausted"},
		"it was raised":                {account, "QuotaAvailable=True/QuotaNearlyExhausted", "QuotaAvailable=True/Available", "QuotaAvailable"},
		"a node is silent":             {installation, "NodesReady=True/AllReady Ready=True/Ready", "NodesReady=False/NodesSilent Ready=False/NodesSilent", "!NodesSilent"},
		"a node reports a fault":       {installation, "NodesReady=True/AllReady Ready=True/Ready", "NodesReady=False/NodesNotReady Ready=True/Ready", "!NodesNotReady"},
		"nodes are well again":         {installation, "NodesReady=False/NodesNotReady Ready=True/Ready", "NodesReady=True/AllReady Ready=True/Ready", "NodesReady"},
		"a kind without events":        {epic.ResourceGWEndpointSlices, "Ready=True/Ready", "Ready=False/NoEndpoints", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range transitions(test.plural, c(test.before), c(test.now)) {
				mark := ""
				if e.Warning {
					mark = "!"
				}
				got = append(got, mark+e.Reason)
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("%q, want %q", s, test.want)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"maps"
	"slices"
	"testing"
)

// fault is something that goes wrong, and is repaired.
type fault struct {
	what string
	// alerts are those that have to fire, and to clear.
	alerts []string
	// cause makes it go wrong, and returns what continues while it is wrong, if anything, and what
	// repairs it.
	cause func(s *site) (during func(*site), repair func(*site))
}

// phases follow each other. The faults of one come at the same time: they concern different
// programs, or different objects.
var phases = [][]fault{
	{
		{"two load balancers take the last addresses of a pool", []string{"EpicAddressPoolNearlyUsed"}, poolUsed},
		{"the embedded etcd is full", []string{"EpicEtcdFull"}, etcdFull},
		{"the file of tunnel keys has a wrong line", []string{"EpicTunnelKeysNotReloaded"}, wrongKeys},
		{"somebody writes to etcd", []string{"EpicClaimsDiffer", "EpicForeignClaimsReleased"}, foreignClaim},
		{"the operator can't ask the kube-apiserver about proxies", []string{"EpicProxyCertificatesFail"}, noReviews},
		{"Envoys are slow", []string{"EpicConfigurationSlow"}, slowEnvoy},
		{"an Envoy hangs", []string{"EpicConfigurationStuck"}, hungEnvoy},
		{"the gateway node does not reach the API", []string{"EpicNodeNotSynced"}, nodeCutOff},
		{"the router's BGP daemon is down", []string{"EpicBGPSessionDown"}, routerDown},
		{"the tenant's network is cut off", []string{"EpicTunnelsDown"}, clientCutOff},
		{"EPIC no longer knows the connector", []string{"EpicConnectorDisconnected"}, disconnected},
		{"a Service names a group that is not there", []string{"EpicObjectsRefused"}, refusedService},
	},
	{
		{"a port is in use", []string{"EpicConfigurationRefused"}, portInUse},
		{"the validator is down", []string{"EpicConfigurationUnchecked"}, noValidator},
		{"the gateway node may not read keys", []string{"EpicTunnelsWithoutKey", "EpicNodeProblems"}, noKeys},
		{"the connector is down", []string{"EpicConnectorNotLeading"}, down("epic-connector")},
	},
	{
		{"the controller may not write", []string{"EpicControllerErrors", "EpicTunnelsUnassigned"}, mayNotWrite},
	},
	{
		{"the controller is down", []string{"EpicControllerNotLeading"}, down("epic-controller")},
		{"the node program is down", []string{"EpicNodeDown"}, down("epic-node-gateway")},
		{"proxies do not reach the operator", []string{"EpicProxiesDisconnected"}, proxiesCutOff},
	},
	{
		{"etcd is down", []string{"EpicAPIServerErrors", "EpicClaimsNotAudited"}, etcdDown},
	},
	{
		{"the API servers are down", []string{"EpicAPIServerDown"}, down("epic-apiserver", "epic-apiserver-alone")},
		{"the operator is down", []string{"EpicOperatorDown"}, down("epic-operator")},
	},
}

// atFirst is the fault whose alert fires at first, because no snapshot exists yet.
var atFirst = fault{"there is no snapshot", []string{"EpicSnapshotOld"}, noSnapshot}

// elsewhere has the alerts whose faults the site can't have, with the reason and the test that
// has them fire.
var elsewhere = map[string]string{}

// TestEveryAlertHasAFault finds each alert that ships among the faults or elsewhere, and in one of
// them only.
func TestEveryAlertHasAFault(t *testing.T) {
	var caused []string
	for _, f := range slices.Concat(append(slices.Clone(phases), []fault{atFirst})...) {
		caused = append(caused, f.alerts...)
	}
	var shipped []string
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			shipped = append(shipped, r.Alert)
			if slices.Contains(caused, r.Alert) == (elsewhere[r.Alert] != "") {
				t.Errorf("%s must either have a fault here or a reason why it has none: fault %t, reason %q", r.Alert, slices.Contains(caused, r.Alert), elsewhere[r.Alert])
			}
		}
	}
	for _, alert := range slices.Concat(caused, slices.Collect(maps.Keys(elsewhere))) {
		if !slices.Contains(shipped, alert) {
			t.Errorf("%s is none of the alerts that ship", alert)
		}
	}
}

// TestFasterRules checks that the test's rules differ from the shipped ones only in
// their times.
func TestFasterRules(t *testing.T) {
	for _, c := range []struct{ alert, expr, want string }{
		{"", `rate(a_total[5m]) / rate(b_total[10m] offset 15m) > 600`, `rate(a_total[5s]) / rate(b_total[10s] offset 15s) > 600`},
		{"EpicClaimsNotAudited", `time() - a > 86400`, `time() - a > 25`},
		{"EpicSnapshotOld", `time() - a > 86400`, `time() - a > 86400`},
	} {
		if got, err := faster(c.alert, c.expr); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.expr, got, err, c.want)
		}
	}
	for _, expr := range []string{`a[2h]`, `a offset 1d`, `time() - a > 86400`} {
		if got, err := faster("Other", expr); err == nil {
			t.Errorf("%s becomes %q", expr, got)
		}
	}
}

// down is the fault that programs do not run.
func down(names ...string) func(s *site) (func(*site), func(*site)) {
	return func(s *site) (func(*site), func(*site)) {
		s.Helper()
		for _, name := range names {
			s.stop(name)
		}
		return nil, func(s *site) {
			s.Helper()
			for _, name := range names {
				s.again(name)
			}
		}
	}
}

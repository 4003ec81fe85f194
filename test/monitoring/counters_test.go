// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"regexp"
	"testing"

	"k8s.io/component-base/metrics/legacyregistry"

	// The packages that have the counters.
	_ "github.com/acnodal/epic/pkg/envoy/xds"
	_ "github.com/acnodal/epic/pkg/operator/feed"
	_ "github.com/acnodal/epic/pkg/proxyidentity/issuer"
	_ "github.com/acnodal/epic/pkg/registry/claims"
	_ "github.com/acnodal/epic/pkg/tunnelkey"
)

// TestCountersStartAtZero finds each counter whose increase is an alert before it has counted
// anything: Prometheus sees no increase in the first value of a series, so what happens for the
// first time would raise no alert.
func TestCountersStartAtZero(t *testing.T) {
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.GetMetric())
	}
	increase := regexp.MustCompile(`\bincrease\((\w+)\[`)
	found := 0
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			for _, m := range increase.FindAllStringSubmatch(r.Expr, -1) {
				found++
				if series[m[1]] == 0 {
					t.Errorf("%s: %s has no series before it counts: give it one for each value of its labels", r.Alert, m[1])
				}
			}
		}
	}
	if found == 0 {
		t.Error("No rule has an increase")
	}
}

// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestHeartbeats(t *testing.T) {
	now := metav1.Now()
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }
	of := func(nodes map[string]v1.EPICNodeStatus) (c checks) {
		i := &Installation{Now: now, Configuration: &Configuration{Object: &v1.EPIC{Status: v1.EPICStatus{Nodes: nodes}}}, GatewayNodes: &GatewayNodes{}}
		i.checkGatewayNodes(&c)
		return c[1:] // The first counts them.
	}
	for name, test := range map[string]struct {
		node v1.EPICNodeStatus
		want string
	}{
		"well":             {v1.EPICNodeStatus{Name: "a", HeartbeatTime: ago(time.Minute), Tunnels: 2, TunnelsUp: 2}, "OK a: 2 of 2 tunnels up, last heartbeat 60s ago"},
		"a clock ahead":    {v1.EPICNodeStatus{Name: "a", HeartbeatTime: ago(-time.Minute)}, "OK a: 0 of 0 tunnels up, last heartbeat 0s ago"},
		"stale":            {v1.EPICNodeStatus{Name: "a", HeartbeatTime: ago(5 * time.Minute)}, "WARN a: stale, no heartbeat for 5m"},
		"never":            {v1.EPICNodeStatus{}, "WARN without a name: it has never sent a heartbeat"},
		"not ready":        {v1.EPICNodeStatus{Name: "a", HeartbeatTime: ago(0), Conditions: []metav1.Condition{{Type: "Ready", Status: "False", Reason: "NoBPF", Message: "no bpffs"}}}, "WARN a: it is not Ready: NoBPF: no bpffs"},
		"tunnels are down": {v1.EPICNodeStatus{Name: "a", HeartbeatTime: ago(0), Tunnels: 2}, "WARN a: 0 of 2 tunnels up"},
	} {
		c := of(map[string]v1.EPICNodeStatus{"203.0.113.1": test.node})
		f := c[0]
		if got := string(f.Verdict) + " " + f.Detail; len(c) != 1 || got != test.want || f.Name != "node 203.0.113.1" || (f.Verdict == Warn) != (f.Fix != "") {
			t.Errorf("%s: %+v, want %s", name, c, test.want)
		}
	}
	// Of many, those that are well are counted.
	nodes := map[string]v1.EPICNodeStatus{}
	for n := range 30 {
		nodes[fmt.Sprintf("203.0.113.%d", n+1)] = v1.EPICNodeStatus{HeartbeatTime: ago(time.Duration(n/29) * time.Hour)}
	}
	if c := of(nodes); len(c) != 2 || c[0].Name != "node 203.0.113.30" || c[1].Detail != "29 of 30 are healthy" {
		t.Errorf("%+v", c)
	}
}

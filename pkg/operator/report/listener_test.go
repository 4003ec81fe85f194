// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator/feed"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
)

// Each listener of a gateway proxy has a status of its own: what another one lacks is not
// told of it.
func TestListeners(t *testing.T) {
	other := resource.Key{Type: resource.Listener, Name: "TCP-81"}
	outcome := func() *feed.Outcome {
		o := served()
		o.Listeners = append(o.Listeners, feed.Listener{
			EnvoyListenerStatus: epicv1.EnvoyListenerStatus{Name: "TCP-81", Port: 81, Protocol: "TCP"}, Key: other, Version: "v2",
		})
		yes := []translate.Condition{{Type: "Accepted", Status: true, Reason: "Accepted"}, {Type: "Programmed", Status: true, Reason: "Programmed"}}
		no := []translate.Condition{{Type: "Accepted", Reason: "UnsupportedProtocol", Message: "use HTTP"}, {Type: "Programmed", Reason: "Invalid", Message: "use HTTP"}}
		o.Gateway = []feed.GatewayListener{
			{ListenerStatus: translate.ListenerStatus{Name: "web", AttachedRoutes: 2, Conditions: yes}, Envoy: &o.Listeners[0]},
			{ListenerStatus: translate.ListenerStatus{Name: "other", Conditions: yes}, Envoy: &o.Listeners[1]},
			{ListenerStatus: translate.ListenerStatus{Name: "bad", Conditions: no}},
		}
		return o
	}
	refuse := func(k resource.Key) delta.Refusal {
		return delta.Refusal{Resource: &resource.Resource{Type: k.Type, Name: k.Name}, Text: "address in use", At: now}
	}
	for name, test := range map[string]struct {
		pods     []xds.PodState
		accepted map[string]string
		ready    int32
		want     string
	}{
		"served":                    {[]xds.PodState{pod("a", true)}, map[string]string{"a": "v2"}, 1, "web=True/Programmed other=True/Programmed bad=False/Invalid"},
		"no Envoy is ready":         {nil, nil, 0, "web=False/Pending other=False/Pending bad=False/Invalid"},
		"the other is refused":      {[]xds.PodState{pod("a", true, refuse(other))}, map[string]string{"a": "v2"}, 1, "web=True/Programmed other=False/RejectedByProxy bad=False/Invalid"},
		"it is refused, one lacks":  {[]xds.PodState{pod("a", true, refuse(other)), pod("b", false)}, map[string]string{"a": "v2", "b": "v1"}, 1, "web=False/Pending other=False/RejectedByProxy bad=False/Invalid"},
		"a route of it is refused":  {[]xds.PodState{pod("a", true, refused(routeSource, "bad"))}, map[string]string{"a": "v2"}, 1, "web=True/Programmed other=True/Programmed bad=False/Invalid"},
		"refused and none accepted": {[]xds.PodState{pod("a", true, refused(routeSource, "bad"))}, nil, 1, "web=False/Pending other=False/Pending bad=False/Invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			s := Proxy(&Input{
				Proxy: &workload.Proxy{Generation: 3, Replicas: 1}, Outcome: outcome(), Progress: runner.Progress{Ready: test.ready},
				State:    xds.State{Set: true, Pods: test.pods},
				Accepted: func(resource.Key) map[string]string { return test.accepted },
			})
			var got []string
			for _, l := range s.Listeners {
				for _, c := range l.Conditions {
					if c.Message == "" || c.ObservedGeneration != 3 {
						t.Errorf("listener %s: condition %+v", l.Name, c)
					}
					if c.Type == ConditionProgrammed {
						got = append(got, l.Name+"="+string(c.Status)+"/"+c.Reason)
					}
				}
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("%s, want %s", s, test.want)
			}
			if s.Listeners[0].AttachedRoutes != 2 {
				t.Errorf("attached routes %d, want 2", s.Listeners[0].AttachedRoutes)
			}
		})
	}
	if got := Proxy(&Input{Proxy: &workload.Proxy{}}).Listeners; got != nil {
		t.Errorf("listeners before a translation: %v", got)
	}
}

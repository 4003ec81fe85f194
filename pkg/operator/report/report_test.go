// SPDX-License-Identifier: Apache-2.0

package report

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/version"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator/feed"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

var (
	listenerKey = resource.Key{Type: resource.Listener, Name: "TCP-80"}
	routeSource = resource.Source{Kind: "GWRoute", Namespace: "epic-acme", Name: "r"}
	now         = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

func served() *feed.Outcome {
	return &feed.Outcome{Generation: 3, Listeners: []feed.Listener{{
		EnvoyListenerStatus: epicv1.EnvoyListenerStatus{Name: "TCP-80", Address: "192.0.2.1", Port: 80, Protocol: "TCP"}, Key: listenerKey, Version: "v2",
	}}}
}

func pod(name string, current bool, refused ...delta.Refusal) xds.PodState {
	return xds.PodState{Pod: name, Current: current, Refused: refused}
}

func refused(of resource.Source, text string) delta.Refusal {
	return delta.Refusal{Resource: &resource.Resource{Type: resource.Route, Name: "web", Sources: []resource.Source{of}}, Text: text, At: now}
}

// What Programmed and Accepted say, from what is known.
func TestProxy(t *testing.T) {
	problem := translate.Problem{Object: resource.Source{Kind: "LoadBalancer", Namespace: "epic-acme", Name: "shop"}, Field: "spec.public-ports[1]", Reason: "PortConflict", Message: "is there twice: remove one"}
	one := runner.Progress{Desired: 1, Updated: 1, Ready: 1}
	for name, test := range map[string]struct {
		outcome  *feed.Outcome
		progress runner.Progress
		pods     []xds.PodState
		want     string
		message  string
		settling bool
	}{
		"nothing is known": {nil, runner.Progress{}, nil, "Accepted=Unknown/Pending Programmed=False/Pending", "not observed", false},
		"served":           {served(), one, []xds.PodState{pod("a", true)}, "Accepted=True/Accepted Programmed=True/Programmed", "newest", false},
		"no Envoy yet":     {served(), runner.Progress{Desired: 1}, nil, "Accepted=True/Accepted Programmed=False/Pending", "No Envoy", false},
		"the image is bad": {
			served(), runner.Progress{Desired: 1, Reason: "ImageUnavailable", Message: `can't get the image "x"`}, nil,
			"Accepted=True/Accepted Programmed=False/ImageUnavailable", `image "x"`, false,
		},
		"some run, more can't": {
			served(), runner.Progress{Desired: 3, Ready: 1, Reason: "TooFewNodes", Message: "add a node"}, []xds.PodState{pod("a", true)},
			"Accepted=True/Accepted Programmed=True/TooFewNodes", "add a node", false,
		},
		"one has not answered": {
			served(), one, []xds.PodState{pod("a", true), pod("b", false)}, "Accepted=True/Accepted Programmed=False/Pending", "1 of 2", true,
		},
		"one refuses": {
			served(), one, []xds.PodState{pod("a", true), pod("b", true, refused(routeSource, "no such\ncluster"))},
			"Accepted=True/Accepted Programmed=False/RejectedByProxy", `the Envoy of b rejected the route "web" of GWRoute r: no such cluster`, false,
		},
		"a part can't be configured": {
			&feed.Outcome{Listeners: served().Listeners, Problems: []translate.Problem{problem}}, one, []xds.PodState{pod("a", true)},
			"Accepted=False/PortConflict Programmed=True/Programmed", "", false,
		},
		"the template is refused": {
			&feed.Outcome{Listeners: served().Listeners, Problems: []translate.Problem{{Object: problem.Object, Field: "spec.envoy-template", Reason: "TemplateRefused", Message: "fails; until then more"}}},
			one, []xds.PodState{pod("a", true)}, "Accepted=False/TemplateRefused Programmed=False/TemplateRefused", "until then", false,
		},
		"the template of endpoints is refused": {
			&feed.Outcome{Listeners: served().Listeners, EndpointProblems: []translate.Problem{{Object: problem.Object, Reason: "TemplateRefused", Message: "fails"}}},
			one, []xds.PodState{pod("a", true)}, "Accepted=False/TemplateRefused Programmed=True/Programmed", "", false,
		},
		"nothing can be configured": {
			&feed.Outcome{Problems: []translate.Problem{problem}}, one, []xds.PodState{pod("a", true)},
			"Accepted=False/PortConflict Programmed=False/PortConflict", "spec.public-ports[1]: is there twice: remove one", false,
		},
		"nothing is asked for": {&feed.Outcome{}, one, []xds.PodState{pod("a", true)}, "Accepted=True/Accepted Programmed=False/NoListeners", "add a port", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := Proxy(&Input{
				Proxy: &workload.Proxy{Generation: 3, Replicas: 2}, Outcome: test.outcome, Progress: test.progress, State: xds.State{Set: true, Pods: test.pods},
				Accepted: func(resource.Key) map[string]string { return map[string]string{"a": "v2", "b": "v1"} },
			})
			var all []string
			for _, c := range got.Conditions {
				all = append(all, c.Type+"="+string(c.Status)+"/"+c.Reason)
				if c.ObservedGeneration != 3 || c.Message == "" {
					t.Errorf("condition %+v", c)
				}
			}
			if s := strings.Join(all, " "); s != test.want || !strings.Contains(got.Conditions[1].Message, test.message) || got.Settling != test.settling {
				t.Errorf("%s, %q, settling %v; want %s, %q, %v", s, got.Conditions[1].Message, got.Settling, test.want, test.message, test.settling)
			}
			if test.outcome != nil && len(test.outcome.Listeners) == 1 && got.Envoy.Listeners[0].ProgrammedReplicas != 1 {
				t.Errorf("listeners %+v", got.Envoy.Listeners)
			}
			if r := got.Envoy.LastRejection; (r != nil) != (name == "one refuses") {
				t.Errorf("rejection %+v", r)
			}
		})
	}
}

// Envoys of other versions than EPIC is made for are reported with both versions and what to do;
// Programmed says what they serve, as ever.
func TestVersionSkew(t *testing.T) {
	own := version.Version{Major: version.Major, Minor: version.Minor, Patch: 3}
	old, older, next := version.Version{Major: 1, Minor: 38, Patch: 2}, version.Version{Major: 1, Minor: 9}, version.Version{Major: 1, Minor: version.Minor + 1}
	for name, test := range map[string]struct {
		image string
		pods  map[string]version.Version
		want  string
	}{
		"none":    {"x", nil, ""},
		"its own": {"x", map[string]version.Version{"a": own}, ""},
		"unknown": {"x", map[string]version.Version{"a": {}}, ""},
		"an old one": {
			"envoy:old", map[string]version.Version{"a": own, "b": old},
			`OlderEnvoy: This release of EPIC is built for Envoy 1.40, but the Envoy of b is version 1.38.2. It serves what it accepts, and may reject or misinterpret the rest; the image is "envoy:old": set envoy-image of the service group, or of the EPIC object, to Envoy 1.40`,
		},
		"a new process": {
			"", map[string]version.Version{"a": next},
			`NewerEnvoy: This release of EPIC is built for Envoy 1.40, but the Envoy of a is version 1.41.0. It serves what it accepts, and may reject or misinterpret the rest; set --envoy of the operator to Envoy 1.40`,
		},
		"several": {
			"x", map[string]version.Version{"a": next, "b": old, "c": old, "d": older},
			"OlderEnvoy: This release of EPIC is built for Envoy 1.40, but the Envoy of d is version 1.9.0; the Envoy of b and of 1 more is version 1.38.2; the Envoy of a is version 1.41.0. ",
		},
	} {
		in := &Input{
			Proxy: &workload.Proxy{Generation: 3, Replicas: 1}, Outcome: served(), Progress: runner.Progress{Desired: 1, Ready: 1, Image: test.image},
			Accepted: func(resource.Key) map[string]string { return nil },
		}
		for name, v := range test.pods {
			in.State.Pods = append(in.State.Pods, xds.PodState{Pod: name, Current: true, Version: v})
		}
		conditions := Proxy(in).Conditions
		got := ""
		if c := meta.FindStatusCondition(conditions, ConditionEnvoyVersionSkew); c != nil {
			got = c.Reason + ": " + c.Message
			if c.Status != metav1.ConditionTrue || c.ObservedGeneration != 3 {
				t.Errorf("%s: %+v", name, c)
			}
		}
		if got == "" && test.want != "" || !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: %s", name, got)
		}
		if !meta.IsStatusConditionTrue(conditions, ConditionProgrammed) {
			t.Errorf("%s: %+v", name, conditions)
		}
	}
}

func TestRoute(t *testing.T) {
	route := &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "r", Generation: 2}}
	gw := proxyidentity.Proxy{Namespace: "epic-acme", Kind: "GWProxy", Name: "gw"}
	yes := &metav1.Condition{Type: ConditionProgrammed, Status: metav1.ConditionTrue, Reason: ReasonProgrammed}
	said := func(status bool, reason string) *feed.Outcome {
		return &feed.Outcome{Routes: []translate.RouteStatus{{Route: routeSource, Parents: []translate.ParentStatus{{
			Ref:        gatewayv1.ParentReference{Name: "gw", SectionName: ptr.To[gatewayv1.SectionName]("web")},
			Conditions: []translate.Condition{{Type: "Accepted", Status: status, Reason: reason, Message: "no listener has such a hostname"}},
		}}}}}
	}
	other := resource.Source{Kind: "GWRoute", Namespace: "epic-acme", Name: "other"}
	for name, test := range map[string]struct {
		parents []Parent
		want    string
		message string
	}{
		"no parent":         {nil, "False/NoParents", ""},
		"not translated":    {[]Parent{{Proxy: gw}}, "False/Pending", "GWProxy gw"},
		"served":            {[]Parent{{Proxy: gw, Outcome: said(true, "Accepted"), Programmed: yes}}, "True/Programmed", ""},
		"no Envoy yet":      {[]Parent{{Proxy: gw, Outcome: said(true, "Accepted")}}, "False/Pending", "no Envoy"},
		"not accepted":      {[]Parent{{Proxy: gw, Outcome: said(false, "NoMatchingListenerHostname"), Programmed: yes}}, "False/NoMatchingListenerHostname", "listener web of gw: no listener"},
		"refused":           {[]Parent{{Proxy: gw, Outcome: said(true, ""), Programmed: yes, State: xds.State{Pods: []xds.PodState{pod("a", true, refused(routeSource, "bad regex"))}}}}, "False/RejectedByProxy", "bad regex"},
		"another's refused": {[]Parent{{Proxy: gw, Outcome: said(true, ""), State: xds.State{Pods: []xds.PodState{pod("a", true, refused(other, "bad regex"))}}, Programmed: &metav1.Condition{Status: metav1.ConditionFalse, Reason: ReasonRejectedByProxy}}}, "True/Programmed", ""},
		"the proxy is not":  {[]Parent{{Proxy: gw, Outcome: said(true, ""), Programmed: &metav1.Condition{Status: metav1.ConditionFalse, Reason: "ImageUnavailable", Message: "no image"}}}, "False/ImageUnavailable", "no image"},
	} {
		c := Route(route, test.parents)
		if got := string(c.Status) + "/" + c.Reason; got != test.want || !strings.Contains(c.Message, test.message) || c.ObservedGeneration != 2 {
			t.Errorf("%s: %s %q, want %s %q", name, got, c.Message, test.want, test.message)
		}
	}
}

// Texts of Envoy and of tenants become one line that fits.
func TestLine(t *testing.T) {
	for s, want := range map[string]string{"a\nb\x1b[2Jc": "a b [2Jc", "é\xff": "é ", "": ""} {
		if got := Line(s, 100); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
	if got := Line(strings.Repeat("é", 100), 11); !utf8.ValidString(got) || got != "ééééé…" {
		t.Errorf("%q", got)
	}
	if got := tell([]string{"a", "b", "c", "d", "e", "f", "g"}); got != "a; b; c; d; e; and 2 more" {
		t.Errorf("%q", got)
	}
}

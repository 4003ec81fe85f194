// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/operator/feed"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// A route has a status at each parent, so one that a gateway proxy does not accept is
// served by another.
func TestRouteParents(t *testing.T) {
	route := &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "r", Generation: 2}}
	proxy := func(name string) proxyidentity.Proxy {
		return proxyidentity.Proxy{Namespace: "epic-acme", Kind: "GWProxy", Name: name}
	}
	at := func(proxy, listener, against string) translate.ParentStatus {
		p := translate.ParentStatus{Ref: gatewayv1.ParentReference{Name: gatewayv1.ObjectName(proxy)}}
		if listener != "" {
			p.Ref.SectionName = ptr.To(gatewayv1.SectionName(listener))
		}
		p.Conditions = []translate.Condition{{Type: "Accepted", Status: against == "", Reason: "Accepted"}, {Type: "ResolvedRefs", Status: true, Reason: "ResolvedRefs"}}
		if against != "" {
			p.Conditions[0].Reason, p.Conditions[0].Message = against, "change it"
		}
		return p
	}
	of := func(kinds ...[]translate.ParentStatus) *feed.Outcome {
		o := &feed.Outcome{Routes: []translate.RouteStatus{{Route: resource.Source{Kind: "GWRoute", Namespace: "epic-acme", Name: "other"}, Parents: []translate.ParentStatus{at("gw", "", "NotOurs")}}}}
		for _, parents := range kinds {
			o.Routes = append(o.Routes, translate.RouteStatus{Route: routeSource, Parents: parents})
		}
		return o
	}
	yes := &metav1.Condition{Type: ConditionProgrammed, Status: metav1.ConditionTrue, Reason: ReasonProgrammed}
	rejecting := xds.State{Pods: []xds.PodState{pod("a", true, refused(routeSource, "bad regex"))}}
	for name, test := range map[string]struct {
		parents []Parent
		want    string
	}{
		"no parent":        {nil, ""},
		"not translated":   {[]Parent{{Proxy: proxy("gw")}}, ""},
		"served":           {[]Parent{{Proxy: proxy("gw"), Outcome: of([]translate.ParentStatus{at("gw", "", "")}), Programmed: yes}}, "gw//Accepted,ResolvedRefs,Programmed"},
		"no Envoy yet":     {[]Parent{{Proxy: proxy("gw"), Outcome: of([]translate.ParentStatus{at("gw", "", "")})}}, "gw//Accepted,ResolvedRefs,!Programmed=Pending"},
		"one listener not": {[]Parent{{Proxy: proxy("gw"), Outcome: of([]translate.ParentStatus{at("gw", "a", ""), at("gw", "b", "NoMatchingListenerHostname")}), Programmed: yes}}, "gw/a/Accepted,ResolvedRefs,Programmed gw/b/!Accepted=NoMatchingListenerHostname,ResolvedRefs,!Programmed=NoMatchingListenerHostname"},
		"one proxy refuses": {[]Parent{
			{Proxy: proxy("gw"), Outcome: of([]translate.ParentStatus{at("gw", "", "")}), Programmed: yes, State: rejecting},
			{Proxy: proxy("gx"), Outcome: of([]translate.ParentStatus{at("gx", "", "")}), Programmed: yes},
		}, "gw//Accepted,ResolvedRefs,!Programmed=RejectedByProxy gx//Accepted,ResolvedRefs,Programmed"},
		"two kinds, one is bad": {[]Parent{{Proxy: proxy("gw"), Outcome: of([]translate.ParentStatus{at("gw", "", "")}, []translate.ParentStatus{at("gw", "", "NotAllowedByListeners")}), Programmed: yes}}, "gw//!Accepted=NotAllowedByListeners,ResolvedRefs,!Programmed=NotAllowedByListeners"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range RouteParents(route, test.parents) {
				var conditions []string
				for _, c := range p.Conditions {
					text := c.Type
					if c.Status != metav1.ConditionTrue {
						text = "!" + c.Type + "=" + c.Reason
					}
					if c.Message == "" || c.ObservedGeneration != 2 {
						t.Errorf("condition %+v", c)
					}
					conditions = append(conditions, text)
				}
				got = append(got, fmt.Sprintf("%s/%s/%s", p.ParentRef.Name, p.ParentRef.SectionName, strings.Join(conditions, ",")))
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("%s\nwant %s", s, test.want)
			}
		})
	}
}

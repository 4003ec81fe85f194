// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/operator/report"
)

// conditionsOf are conditions as "Programmed=False/Pending Accepted=True/Accepted".
func conditionsOf(s string) (all []metav1.Condition) {
	for _, f := range strings.Fields(s) {
		name, rest, _ := strings.Cut(f, "=")
		status, reason, _ := strings.Cut(rest, "/")
		all = append(all, metav1.Condition{Type: name, Status: metav1.ConditionStatus(status), Reason: reason, Message: "of " + reason})
	}
	return all
}

func TestProxyEvents(t *testing.T) {
	const (
		fine     = "Accepted=True/Accepted Programmed=True/Programmed"
		pending  = "Accepted=True/Accepted Programmed=False/Pending"
		rejected = "Accepted=True/Accepted Programmed=False/RejectedByProxy"
		partly   = "Accepted=False/CertificateExpired Programmed=True/Programmed"
		nothing  = "Accepted=False/CertificateExpired Programmed=False/CertificateExpired"
	)
	for name, test := range map[string]struct {
		before, now string
		// from and to are numbers of Envoys, 0 if they are not known.
		from, to int32
		want     string
	}{
		"a new object waits":             {"", pending, 0, 2, ""},
		"it is not looked at yet":        {"", "Accepted=Unknown/Pending Programmed=False/Pending", 0, 0, ""},
		"it has its configuration":       {pending, fine, 2, 2, "Programmed"},
		"at once":                        {"", fine, 0, 2, "Programmed"},
		"nothing changes":                {fine, fine, 2, 2, ""},
		"a change is under way":          {fine, pending, 2, 2, ""},
		"an Envoy refuses it":            {pending, rejected, 2, 2, "!RejectedByProxy"},
		"it is corrected":                {rejected, fine, 2, 2, "Programmed"},
		"an image is missing":            {pending, "Accepted=True/Accepted Programmed=False/ImageUnavailable", 2, 2, "!ImageUnavailable"},
		"another reason":                 {rejected, "Accepted=True/Accepted Programmed=False/NotStarted", 2, 2, "!NotStarted"},
		"too few nodes, but some":        {fine, "Accepted=True/Accepted Programmed=True/TooFewNodes", 2, 2, "!TooFewNodes"},
		"enough nodes again":             {"Accepted=True/Accepted Programmed=True/TooFewNodes", fine, 2, 2, "Programmed"},
		"a part can't be configured":     {fine, partly, 2, 2, "!CertificateExpired"},
		"the same is all there is":       {"", nothing, 0, 2, "!CertificateExpired"},
		"then the last listener":         {partly, nothing, 2, 2, "!CertificateExpired"},
		"another part":                   {partly, "Accepted=False/RouteConflict Programmed=True/Programmed", 2, 2, "!RouteConflict"},
		"everything can again":           {partly, fine, 2, 2, "Accepted"},
		"everything can, and is in use":  {nothing, fine, 2, 2, "Accepted Programmed"},
		"one more Envoy":                 {fine, fine, 2, 3, "Scaled"},
		"one less while a change begins": {fine, pending, 3, 2, "Scaled"},
		"the first number is no change":  {pending, pending, 0, 2, ""},
		"no number":                      {fine, fine, 2, 0, ""},
		"conditions of others":           {fine + " Ready=False/NoEndpoints", fine, 2, 2, ""},
		"a condition without events":     {fine, fine + " SharedHostname=True/HostnameInUse", 2, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			envoys := func(n int32) *epicv1.EnvoyStatus {
				if n == 0 {
					return nil
				}
				return &epicv1.EnvoyStatus{Replicas: n}
			}
			var got []string
			for _, e := range proxyEvents(&epicv1.ProxyStatus{Conditions: conditionsOf(test.before), Envoy: envoys(test.from)}, &own{Conditions: conditionsOf(test.now), Envoy: envoys(test.to)}) {
				mark := ""
				if e.Warning {
					mark = "!"
				}
				got = append(got, mark+e.Reason)
				want := "of " + e.Reason
				switch e.Reason {
				case EventScaled:
					want = "The number of Envoys changes from "
				case EventProgrammed:
					want = "of "
				}
				if !strings.HasPrefix(e.Message, want) {
					t.Errorf("the message of %s is %q", e.Reason, e.Message)
				}
			}
			if s := strings.Join(got, " "); s != test.want {
				t.Errorf("%q, want %q", s, test.want)
			}
		})
	}
}

func TestProgrammedEvent(t *testing.T) {
	for name, test := range map[string]struct{ before, now, want string }{
		"a new route":          {"", "Programmed=False/Pending", ""},
		"it is served":         {"Programmed=False/Pending", "Programmed=True/Programmed", "Programmed"},
		"nothing changes":      {"Programmed=True/Programmed", "Programmed=True/Programmed", ""},
		"an Envoy refuses it":  {"Programmed=True/Programmed", "Programmed=False/RejectedByValidator", "!RejectedByValidator"},
		"its parents are gone": {"Programmed=True/Programmed", "Programmed=False/NoParents", "!NoParents"},
		"no condition":         {"Programmed=True/Programmed", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if e := programmedEvent(conditionsOf(test.before), conditionsOf(test.now)); e != nil {
				if got = e.Reason; e.Warning {
					got = "!" + got
				}
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	if EventProgrammed != report.ReasonProgrammed || EventAccepted != report.ReasonAccepted {
		t.Error("the events of conditions have other reasons than the conditions")
	}
}

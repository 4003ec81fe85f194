// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestEnvoys(t *testing.T) {
	of := func(desired, ready int32, is metav1.ConditionStatus) *v1.ProxyStatus {
		return &v1.ProxyStatus{
			Envoy:      &v1.EnvoyStatus{Replicas: desired, ReadyReplicas: ready},
			Conditions: []metav1.Condition{{Type: "Programmed", Status: is, Reason: "ImageUnavailable", Message: "no image"}},
		}
	}
	const yes, no = metav1.ConditionTrue, metav1.ConditionFalse
	for name, test := range map[string]struct {
		all     []*v1.ProxyStatus
		verdict Verdict
		detail  string
	}{
		"nothing":         {nil, OK, "needs one"},
		"no operator":     {[]*v1.ProxyStatus{{}}, Warn, "no operator"},
		"all are ready":   {[]*v1.ProxyStatus{of(1, 1, yes), of(2, 2, yes)}, OK, "3 of 3 are ready, for 2 objects"},
		"one is missing":  {[]*v1.ProxyStatus{of(3, 2, yes)}, Warn, "2 of 3 are ready, and each"},
		"one is behind":   {[]*v1.ProxyStatus{of(1, 1, yes), of(1, 0, no)}, Warn, "1 of 2 are ready; not fully served: LoadBalancer epic-a/o1: ImageUnavailable: no image"},
		"many are behind": {[]*v1.ProxyStatus{of(1, 0, no), of(1, 0, no), of(1, 0, no), of(1, 0, no), of(1, 0, no)}, Warn, "and 2 more"},
	} {
		i := &Installation{Envoys: &Envoys{}}
		for n, s := range test.all {
			i.Envoys.Add("LoadBalancer", "epic-a", fmt.Sprint("o", n), s)
		}
		var c checks
		i.checkEnvoys(&c)
		if f := c[0]; len(c) != 1 || f.Verdict != test.verdict || !strings.Contains(f.Detail, test.detail) || (f.Fix == "") != (f.Verdict == OK) {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

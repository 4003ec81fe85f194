// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/operator/report"
)

// A condition that is there only while it is true is written when it comes and when it goes. What
// others wrote is no reason to write.
func TestOptionalConditions(t *testing.T) {
	programmed := metav1.Condition{Type: report.ConditionProgrammed, Status: metav1.ConditionTrue, Reason: report.ReasonProgrammed}
	for _, name := range append(slices.Clone(report.Optional), "Ready") {
		optional := metav1.Condition{Type: name, Status: metav1.ConditionTrue, Reason: "Because"}
		ours := name != "Ready"
		for _, test := range []struct {
			has, want []metav1.Condition
			differs   bool
		}{
			{[]metav1.Condition{programmed}, []metav1.Condition{programmed}, false},
			{[]metav1.Condition{programmed, optional}, []metav1.Condition{programmed, optional}, false},
			{[]metav1.Condition{programmed, optional}, []metav1.Condition{programmed}, ours},
			{[]metav1.Condition{programmed}, []metav1.Condition{programmed, optional}, true},
		} {
			want := &own{Conditions: test.want}
			if got := proxyDiffers(&epicv1.ProxyStatus{Conditions: test.has}, want); got != test.differs {
				t.Errorf("%s: from %d to %d conditions: differs %t", name, len(test.has), len(test.want), got)
			}
		}
	}
}

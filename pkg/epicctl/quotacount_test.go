// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	ktesting "k8s.io/client-go/testing"
)

// countQuotas lets a quota controller write the status of each quota that is made. It knows
// EPIC's kinds from the given quota on.
func countQuotas(kube *fake.Clientset, knows int) (made *int) {
	made = new(int)
	kube.PrependReactor("create", "resourcequotas", func(action ktesting.Action) (bool, runtime.Object, error) {
		q := action.(ktesting.CreateAction).GetObject().(*corev1.ResourceQuota).DeepCopy()
		*made++
		q.UID = types.UID(fmt.Sprint(*made))
		q.Status.Hard, q.Status.Used = q.Spec.Hard.DeepCopy(), corev1.ResourceList{}
		if *made >= knows {
			for name := range q.Spec.Hard {
				q.Status.Used[name] = resource.Quantity{}
			}
		}
		return true, q, kube.Tracker().Create(corev1.SchemeGroupVersion.WithResource("resourcequotas"), q, q.Namespace)
	})
	return made
}

// A new account can be used at once, also where Kubernetes does not know EPIC's kinds yet.
func TestQuotaIsCounted(t *testing.T) {
	patient := quotaPatience{poll: time.Millisecond, status: time.Minute, renew: 5 * time.Millisecond, count: time.Minute}
	hurried := patient
	hurried.count = 20 * time.Millisecond
	for _, test := range []struct {
		name     string
		patience quotaPatience
		// knows is the quota from which on the controller counts.
		knows, made int
		note        bool
	}{
		{"the kinds are known", patient, 1, 1, false},
		{"the kinds become known", patient, 3, 3, false},
		{"the kinds remain unknown", hurried, 1 << 30, 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := install(t)
			i.quotaPatience = test.patience
			made := countQuotas(i.beside(), test.knows)
			r := i.run(t, "create", "account", "acme", "--quota=gwroutes=7")
			r.want(t, ExitOK, "resourcequota/epic-account created")
			if test.made != 0 && *made != test.made {
				t.Errorf("The quota was made %d times, want %d", *made, test.made)
			}
			if test.note {
				r.want(t, ExitOK, "gwendpointslices.epic.acnodal.io yet", `"status unknown for quota"`)
			} else {
				r.lacks(t, "status unknown")
			}
			if got := hard(t, i.kube.(*fake.Clientset), "acme"); got["count/gwroutes.epic.acnodal.io"] != 7 || len(got) != 4 {
				t.Errorf("The quota is %v", got)
			}
		})
	}
}

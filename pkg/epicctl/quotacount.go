// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"context"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
)

// quotaPatience is how long a command waits for Kubernetes to count the objects that a
// new quota limits.
type quotaPatience struct {
	// poll is the time between two reads of the quota.
	poll time.Duration
	// status is how long a quota controller may take to write the quota's status. Without
	// a status nothing is limited, and without a quota controller there never is one.
	status time.Duration
	// renew is how long kinds may be missing in a status before the quota is recreated.
	renew time.Duration
	// count limits the whole wait. kube-controller-manager discovers new kinds every 30
	// seconds.
	count time.Duration
}

var defaultQuotaPatience = quotaPatience{poll: 200 * time.Millisecond, status: 3 * time.Second, renew: 5 * time.Second, count: time.Minute}

// awaitCount waits until Kubernetes has counted everything that a new quota limits: it
// rejects objects whose count is unknown. want is the quota as requested.
//
// kube-controller-manager does not know EPIC's kinds for up to 30 seconds after EPIC was
// installed. It does not count a quota that it saw before that until it checks all quotas
// again, up to 5 minutes later, so awaitCount recreates that quota.
func (o *createAccount) awaitCount(ctx context.Context, want *corev1.ResourceQuota) error {
	client, begin := o.kubeClient.CoreV1().ResourceQuotas(want.Namespace), time.Now()
	made := begin
	return wait.PollUntilContextCancel(ctx, o.quotaPatience.poll, true, func(ctx context.Context) (done bool, err error) {
		is, err := client.Get(ctx, want.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			// Somebody else has deleted it.
			return true, nil
		}
		if err != nil {
			return false, right{"get", "resourcequotas", want.Namespace}.explain(err)
		}
		missing, seen := uncounted(is), is.Status.Hard != nil
		switch age := time.Since(made); {
		case len(missing) == 0, !seen && age >= o.quotaPatience.status:
			return true, nil
		case time.Since(begin) >= o.quotaPatience.count:
			o.note("Kubernetes does not track the account's %s yet. Until it does, which takes up to 5 minutes, it refuses new ones with %q.", missing[0], "status unknown for quota")
			return true, nil
		case seen && age >= o.quotaPatience.renew:
			if err := o.renewQuota(ctx, client, is, want); err != nil {
				return false, err
			}
			made = time.Now()
		}
		return false, nil
	})
}

// renewQuota recreates the same quota, unless it has been changed.
func (o *createAccount) renewQuota(ctx context.Context, client typedcorev1.ResourceQuotaInterface, old, want *corev1.ResourceQuota) error {
	err := client.Delete(ctx, old.Name, sameVersion(old))
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return right{"delete", "resourcequotas", old.Namespace}.explain(err)
	}
	_, err = client.Create(ctx, want, o.createOptions())
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return right{"create", "resourcequotas", old.Namespace}.explain(err)
}

// uncounted returns the resources that a quota limits and whose number is unknown, such
// as "lbservicegroups.epic.acnodal.io".
func uncounted(q *corev1.ResourceQuota) (missing []string) {
	for name := range q.Spec.Hard {
		if _, known := q.Status.Used[name]; !known {
			missing = append(missing, strings.TrimPrefix(string(name), countPrefix))
		}
	}
	slices.Sort(missing)
	return missing
}

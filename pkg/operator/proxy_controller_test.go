// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"errors"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
	"github.com/acnodal/epic/pkg/operator/feed"
	"github.com/acnodal/epic/pkg/operator/objects"
	"github.com/acnodal/epic/pkg/operator/report"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// failing is a runner that can't do its work.
type failing struct {
	runner.Runner
	err error
}

func (f failing) Ensure(context.Context, *workload.Proxy) (runner.Progress, error) {
	return runner.Progress{Desired: 1}, f.err
}

// silent is an xDS server and a feed that know of no proxy.
type silent struct{}

func (silent) State(proxyidentity.Proxy) xds.State                          { return xds.State{} }
func (silent) Accepted(proxyidentity.Proxy, resource.Key) map[string]string { return nil }
func (silent) Outcome(proxyidentity.Proxy) *feed.Outcome {
	return &feed.Outcome{Generation: 1, Listeners: []feed.Listener{{Key: resource.Key{Type: resource.Listener, Name: "tcp/80"}}}}
}

// A conflict with another controller is no news for people; another failure is.
func TestRunnerFails(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{Group: "apps", Resource: "deployments"}, "lb-shop", errors.New("it was modified"))
	for name, c := range map[string]struct {
		err    error
		reason string
	}{
		"a conflict":        {conflict, ""},
		"another failure":   {errors.New("the quota is used up"), ReasonRunnerFailed},
		"a wrapped failure": {errors.Join(errors.New("apply"), errors.New("it broke")), ReasonRunnerFailed},
	} {
		t.Run(name, func(t *testing.T) {
			lb := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-one", Name: "shop", Generation: 1}}
			client := fake.NewClientset(lb)
			store, err := objects.New(client, 0)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			defer store.Shutdown()
			defer close(done)
			store.Start(done)
			for !store.Synced() {
				time.Sleep(time.Millisecond)
			}
			r := &ProxyReconciler{
				Client: client, Store: store, Runner: failing{err: c.err}, States: silent{}, Outcomes: silent{},
				Written: func(proxyidentity.Proxy) {},
			}
			result, err := r.Reconcile(t.Context(), proxyidentity.Proxy{Namespace: "epic-one", Kind: "LoadBalancer", Name: "shop"})
			after, getErr := client.EpicV1().LoadBalancers("epic-one").Get(t.Context(), "shop", metav1.GetOptions{})
			if getErr != nil {
				t.Fatal(getErr)
			}
			condition := meta.FindStatusCondition(after.Status.Conditions, report.ConditionProgrammed)
			if c.reason == "" {
				if err != nil || result.RequeueAfter <= 0 || condition != nil {
					t.Errorf("the result is %v, %v, and the condition %v; want another try and no condition", result, err, condition)
				}
				return
			}
			if err == nil || condition == nil || condition.Reason != c.reason {
				t.Errorf("the result is %v, %v, and the condition %v; want an error and the reason %s", result, err, condition, c.reason)
			}
		})
	}
}

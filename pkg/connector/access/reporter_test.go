// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/credential"
)

// A tenant sees within a minute that EPIC does not let the connector in, and that it does
// again; a short pause of EPIC is no news. Nothing else is written.
func TestReporter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scheme := runtime.NewScheme()
		if err := gatewayv1.Install(scheme); err != nil {
			t.Fatal(err)
		}
		class := func(name, controller string) *gatewayv1.GatewayClass {
			return &gatewayv1.GatewayClass{
				ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 3}, Spec: gatewayv1.GatewayClassSpec{ControllerName: gatewayv1.GatewayController(controller)},
				Status: gatewayv1.GatewayClassStatus{Conditions: []metav1.Condition{{Type: "Accepted", Status: metav1.ConditionTrue, Reason: "Accepted"}}},
			}
		}
		writes := 0
		classes := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&gatewayv1.GatewayClass{}).
			WithObjects(class("epic", publish.ControllerName), class("other", "example.com/other")).
			WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				writes++
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			}}).Build()
		var answer error
		asked, leads := 0, true
		transport := credential.NewTransport()
		r := &Reporter{
			Transport: transport, Classes: classes, Writes: func() bool { return leads }, Renewal: func() error { return nil },
			Ask: func(context.Context) error {
				asked++
				if answer != nil {
					return fmt.Errorf("question %d: %w", asked, answer)
				}
				return nil
			},
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { r.Run(ctx); close(done) }()
		want := func(after time.Duration, status metav1.ConditionStatus, reason string) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			now := &gatewayv1.GatewayClass{}
			if err := classes.Get(ctx, client.ObjectKey{Name: "epic"}, now); err != nil {
				t.Fatal(err)
			}
			c := meta.FindStatusCondition(now.Status.Conditions, Condition)
			if c == nil || c.Status != status || c.Reason != reason || c.ObservedGeneration != 3 || !meta.IsStatusConditionTrue(now.Status.Conditions, "Accepted") {
				t.Errorf("The conditions are %+v, want %s", now.Status.Conditions, reason)
			}
			if value := testutil.ToFloat64(connected); (value == 1) != (c != nil && c.Status == metav1.ConditionTrue) {
				t.Errorf("The metric is %v with %+v", value, c)
			}
		}
		want(0, metav1.ConditionTrue, ReasonConnected)
		want(time.Hour, metav1.ConditionTrue, ReasonConnected)
		if writes != 1 || asked > 62 {
			t.Errorf("In a quiet hour it wrote %d times and asked %d times", writes, asked)
		}

		answer = errors.New("connection refused")
		time.Sleep(every)
		synctest.Wait()
		answer = nil
		want(soon, metav1.ConditionTrue, ReasonConnected)
		if writes != 1 {
			t.Errorf("A short pause of EPIC was written: %d writes", writes)
		}

		// The text of the error changes with each question.
		answer = errors.New("connection refused")
		want(2*every, metav1.ConditionFalse, ReasonUnreachable)
		want(5*time.Minute, metav1.ConditionFalse, ReasonUnreachable)
		if writes != 2 {
			t.Errorf("An outage took %d writes", writes-1)
		}
		answer = apierrors.NewUnauthorized("no")
		want(soon, metav1.ConditionFalse, ReasonCredentialRefused)
		answer = nil
		want(soon, metav1.ConditionTrue, ReasonConnected)

		// Another replica leads: this one measures only.
		leads, answer = false, errors.New("connection refused")
		before := writes
		time.Sleep(2 * every)
		synctest.Wait()
		if writes != before || testutil.ToFloat64(connected) != 0 {
			t.Errorf("Without the lead it wrote %d times, and the metric is %v", writes-before, testutil.ToFloat64(connected))
		}
		other := &gatewayv1.GatewayClass{}
		if err := classes.Get(ctx, client.ObjectKey{Name: "other"}, other); err != nil || len(other.Status.Conditions) != 1 {
			t.Errorf("The class of another controller has %+v, %v", other.Status.Conditions, err)
		}
		stop()
		<-done
	})
}

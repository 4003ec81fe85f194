// SPDX-License-Identifier: Apache-2.0

package access

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/credential"
)

const (
	// EPIC is asked each every, and while it does not let the connector in, each soon.
	every, soon = time.Minute, 10 * time.Second
	// timeout is how long EPIC and the client cluster have for an answer.
	timeout = 10 * time.Second
	// rewrite is how long a condition stays of which only the message has changed.
	rewrite = 10 * time.Minute
)

var connected = prometheus.NewGauge(prometheus.GaugeOpts{
	Namespace: epic.MetricsNamespace, Subsystem: "connector", Name: "connected",
	Help: "1 if EPIC accepts the connector's credential, 0 otherwise.",
})

func init() { metrics.Registry.MustRegister(connected) }

// Reporter reports whether EPIC lets the connector in.
type Reporter struct {
	// Transport has the connector's credential.
	Transport *credential.Transport
	// Ask asks EPIC for something that the connector may read.
	Ask func(ctx context.Context) error
	// Renewal is why the last renewal of the credential failed; nil if it did not. It is nil
	// itself if the connector does not renew the credential.
	Renewal func() error
	// Classes reads and writes GatewayClasses past caches, which fill only when EPIC is there.
	Classes client.Client
	// Writes reports whether this replica writes the condition.
	Writes func() bool

	// failed is set if the last question had no answer.
	failed bool
	// written is the condition that was written last, and when.
	written metav1.Condition
	at      time.Time
}

// Run reports until ctx ends.
func (r *Reporter) Run(ctx context.Context) {
	for {
		pause, refused := soon, (<-chan struct{})(nil)
		if condition, sure := r.look(ctx); sure {
			if condition.Status == metav1.ConditionTrue {
				// Otherwise the questions themselves would be refused.
				pause, refused = every, r.Transport.Unauthorized()
			}
			if err := r.report(ctx, condition); err != nil && ctx.Err() == nil {
				klog.FromContext(ctx).Error(err, "Can't report whether EPIC accepts the connector's credential, trying again")
				pause = soon
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-refused:
		case <-time.After(pause):
		}
	}
}

// look asks EPIC. It is not sure after one question without an answer: servers restart.
func (r *Reporter) look(ctx context.Context) (metav1.Condition, bool) {
	state := &State{Credential: r.Transport.Credential(), Now: time.Now()}
	if r.Renewal != nil {
		state.Renewable, state.Renewal = true, r.Renewal()
	}
	ask, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	state.Err = r.Ask(ask)
	condition := Judge(state)
	again := r.failed
	r.failed = condition.Reason == ReasonUnreachable
	return condition, ctx.Err() == nil && (!r.failed || again)
}

func (r *Reporter) report(ctx context.Context, want metav1.Condition) error {
	value := 0.0
	if want.Status == metav1.ConditionTrue {
		value = 1
	}
	connected.Set(value)
	if !r.Writes() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var classes gatewayv1.GatewayClassList
	if err := r.Classes.List(ctx, &classes); err != nil {
		return fmt.Errorf("list GatewayClasses: %w", err)
	}
	// Messages have texts of errors, which may differ each time.
	if want.Status == r.written.Status && want.Reason == r.written.Reason && time.Since(r.at) < rewrite {
		want.Message = r.written.Message
	}
	for i := range classes.Items {
		class := &classes.Items[i]
		if class.Spec.ControllerName != publish.ControllerName {
			continue
		}
		before := class.DeepCopy()
		want.ObservedGeneration = class.Generation
		if !meta.SetStatusCondition(&class.Status.Conditions, want) {
			continue
		}
		// The class's other conditions have another writer.
		if err := r.Classes.Status().Patch(ctx, class, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("write the status of GatewayClass %s: %w", class.Name, err)
		}
	}
	if want.Message != r.written.Message || want.Reason != r.written.Reason {
		r.written, r.at = want, time.Now()
	}
	return nil
}

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
	// EPIC is queried at interval every or, while it does not accept the connector, at
	// interval soon.
	every, soon = time.Minute, 10 * time.Second
	// timeout limits one request to EPIC or to the client cluster.
	timeout = 10 * time.Second
	// rewrite is how long a condition is kept if only its message has changed.
	rewrite = 10 * time.Minute
)

var connected = prometheus.NewGauge(prometheus.GaugeOpts{
	Namespace: epic.MetricsNamespace, Subsystem: "connector", Name: "connected",
	Help: "1 if EPIC accepts the connector's credential, 0 otherwise.",
})

func init() { metrics.Registry.MustRegister(connected) }

// Reporter reports whether EPIC accepts the connector.
type Reporter struct {
	// Transport has the connector's credential.
	Transport *credential.Transport
	// Ask sends EPIC a request that the connector is permitted to send.
	Ask func(ctx context.Context) error
	// Renewal returns the error of the last renewal of the credential, or nil if it
	// succeeded. Renewal is nil if the connector does not renew the credential.
	Renewal func() error
	// Classes reads and writes GatewayClasses without caches, which only fill while EPIC
	// is available.
	Classes client.Client
	// Writes reports whether this replica writes the condition.
	Writes func() bool

	// failed is set if the last request got no response.
	failed bool
	// written is the condition that was last written, and at is when.
	written metav1.Condition
	at      time.Time
}

// Run reports until ctx ends.
func (r *Reporter) Run(ctx context.Context) {
	for {
		pause, refused := soon, (<-chan struct{})(nil)
		if condition, sure := r.look(ctx); sure {
			if condition.Status == metav1.ConditionTrue {
				// Otherwise, the requests themselves would be rejected.
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

// look queries EPIC. It returns false if only one request got no response: servers
// restart.
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
	// Messages contain error texts, which may differ each time.
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
		// Another controller writes the class's other conditions.
		if err := r.Classes.Status().Patch(ctx, class, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("write the status of GatewayClass %s: %w", class.Name, err)
		}
	}
	if want.Message != r.written.Message || want.Reason != r.written.Reason {
		r.written, r.at = want, time.Now()
	}
	return nil
}

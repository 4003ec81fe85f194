// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/operator/feed"
	"github.com/acnodal/epic/pkg/operator/objects"
	"github.com/acnodal/epic/pkg/operator/report"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

const (
	// settling is how long Envoys may take to respond to a change before the condition
	// Programmed shows it: most changes take milliseconds.
	settling = 3 * time.Second
	// again is the interval at which what runs is checked even without events.
	again = time.Minute
	// conflictDelay is how long the cache may take to show what another controller wrote.
	conflictDelay = 100 * time.Millisecond
)

// States is the part of the xDS server's state that the reconcilers read.
type States interface {
	State(proxy proxyidentity.Proxy) xds.State
	Accepted(proxy proxyidentity.Proxy, key resource.Key) map[string]string
}

// Outcomes is the part of the feed that the reconcilers read.
type Outcomes interface {
	Outcome(proxy proxyidentity.Proxy) *feed.Outcome
}

// ProxyReconciler runs Envoys for load balancers and gateway proxies, and reports their
// status.
type ProxyReconciler struct {
	Client   versioned.Interface
	Store    *objects.Store
	Runner   runner.Runner
	States   States
	Outcomes Outcomes
	// Written is called with the objects whose status was written.
	Written func(proxyidentity.Proxy)
	// Events records changes of state.
	Events *events.Recorder

	mu sync.Mutex
	// since is the time since which Envoys have not responded to the newest change.
	since map[proxyidentity.Proxy]time.Time
}

var _ reconcile.TypedReconciler[proxyidentity.Proxy] = &ProxyReconciler{}

// subject is the object of a reconciliation.
type subject struct {
	object metav1.Object
	status *epicv1.ProxyStatus
	proxy  workload.Proxy
	write  func(ctx context.Context, want *own) error
	shared []objects.Shared
}

func (r *ProxyReconciler) find(id proxyidentity.Proxy) *subject {
	if id.Kind == string(workload.LoadBalancer) {
		lb := r.Store.LoadBalancer(id.Namespace, id.Name)
		if lb == nil {
			return nil
		}
		return &subject{lb, &lb.Status, workload.OfLoadBalancer(lb, r.Store.GroupOf(lb), r.Store.Config()), func(ctx context.Context, want *own) error {
			return apply(ctx, r.Client.EpicV1().LoadBalancers(id.Namespace), id.Kind, lb, want)
		}, nil}
	}
	gw := r.Store.GWProxy(id.Namespace, id.Name)
	if gw == nil {
		return nil
	}
	return &subject{gw, &gw.Status, workload.OfGWProxy(gw, r.Store.GroupOf(gw), r.Store.Config()), func(ctx context.Context, want *own) error {
		return apply(ctx, r.Client.EpicV1().GWProxies(id.Namespace), id.Kind, gw, want)
	}, r.Store.SharedHostnames(gw)}
}

// Reconcile implements reconcile.TypedReconciler.
func (r *ProxyReconciler) Reconcile(ctx context.Context, id proxyidentity.Proxy) (reconcile.Result, error) {
	s := r.find(id)
	if s == nil {
		r.settled(id, false)
		return reconcile.Result{}, r.Runner.Remove(ctx, id)
	}
	if s.object.GetDeletionTimestamp() != nil {
		// It serves until it is deleted.
		return reconcile.Result{}, nil
	}
	progress, failed := r.Runner.Ensure(ctx, &s.proxy)
	if apierrors.IsConflict(failed) {
		// Another controller has just written the objects that run the proxy, and the
		// cache will have them in a moment.
		return reconcile.Result{RequeueAfter: conflictDelay}, nil
	}
	if failed != nil && progress.Reason == "" {
		progress.Reason, progress.Message = ReasonRunnerFailed, report.Line(failed.Error(), maxFailure)
	}
	status := report.Proxy(&report.Input{
		Proxy: &s.proxy, Outcome: r.Outcomes.Outcome(id), Progress: progress, State: r.States.State(id),
		Accepted: func(key resource.Key) map[string]string { return r.States.Accepted(id, key) },
		Shared:   s.shared,
	})
	if status.Settling && isProgrammed(s.status, s.proxy.Generation) && !r.settled(id, true) {
		return later(time.Second, failed)
	}
	if !status.Settling {
		r.settled(id, false)
	}
	want := &own{Conditions: conditions(s.status.Conditions, status.Conditions), Envoy: &status.Envoy, Placements: progress.Placements, Listeners: listeners(s.status.Listeners, status.Listeners)}
	wait := cmp.Or(progress.Retry, again)
	if behind(&status.Envoy) {
		wait = min(wait, settling)
	}
	if !proxyDiffers(s.status, want) {
		return later(wait, failed)
	}
	if err := s.write(ctx, want); err != nil {
		if apierrors.IsNotFound(err) {
			return reconcile.Result{}, nil // its event will arrive
		}
		return reconcile.Result{}, err
	}
	for _, e := range proxyEvents(s.status, want) {
		r.Events.Record(id.Kind, s.object, e)
	}
	r.Written(id)
	return later(wait, failed)
}

// behind reports whether a ready Envoy has not accepted a listener yet. An Envoy that is
// connected to another replica has to be queried again, because it reports there.
func behind(s *epicv1.EnvoyStatus) bool {
	return slices.ContainsFunc(s.Listeners, func(l epicv1.EnvoyListenerStatus) bool { return l.ProgrammedReplicas < s.ReadyReplicas })
}

// later reconciles the object again: after a delay or, if something failed, with the
// queue's backoff.
func later(after time.Duration, failed error) (reconcile.Result, error) {
	if failed != nil {
		return reconcile.Result{}, failed
	}
	return reconcile.Result{RequeueAfter: after}, nil
}

// isProgrammed reports whether the condition states that a generation is served.
func isProgrammed(status *epicv1.ProxyStatus, generation int64) bool {
	c := meta.FindStatusCondition(status.Conditions, report.ConditionProgrammed)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == generation
}

// settled records whether Envoys have yet to respond to a change. It returns true if they
// have responded, or have taken too long.
func (r *ProxyReconciler) settled(id proxyidentity.Proxy, settlingNow bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !settlingNow {
		delete(r.since, id)
		return true
	}
	if r.since == nil {
		r.since = map[proxyidentity.Proxy]time.Time{}
	}
	since, ok := r.since[id]
	if !ok {
		r.since[id] = time.Now()
		return false
	}
	return time.Since(since) > settling
}

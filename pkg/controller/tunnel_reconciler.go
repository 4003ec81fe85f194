// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"net/netip"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/events"
)

// state is the observed state of one load balancer or gateway proxy. It points into the
// cache and must not be changed.
type state struct {
	meta      *metav1.ObjectMeta
	status    *epicv1.ProxyStatus
	endpoints []endpoints.Endpoint
	problems  []endpoints.Problem
	// listeners describes which listeners of a Gateway can be used.
	listeners parts
	// direct indicates that its endpoints are reached without tunnels.
	direct bool
	// portless indicates that it publishes no port and therefore serves nothing.
	portless bool
	// lost reports whether a gateway node is evicted; nil if none is.
	lost func(netip.Addr) bool
	// tunnels returns the state of tunnels; nil if nothing is known.
	tunnels stateFunc
	// gone holds the proxies that have an entry and no longer run.
	gone map[string]bool
	// lingers reports whether a tunnel stays although it is no longer needed; nil if none
	// does.
	lingers func(pair) bool
}

// tunnelReconciler sets the tunnels of each object of one kind to those that its
// endpoints and proxies need, and sets its conditions.
type tunnelReconciler struct {
	*reconciler
	tally  *tally
	memory memory
	// find collects the state of an object from the caches.
	find func(key cache.ObjectName) (*state, error)
	// patch sends a merge patch of an object's status and returns the new status and the
	// version of the object.
	patch patchFunc
	// gone returns the proxies of an object that have an entry and no longer run. It is
	// nil if that can't be determined.
	gone func(ctx context.Context, key cache.ObjectName, status *epicv1.ProxyStatus) map[string]bool
	// linger is how long a tunnel stays after it was last needed, and now the clock.
	linger time.Duration
	now    func() time.Time
	events *events.Recorder
}

type patchFunc func(ctx context.Context, key cache.ObjectName, data []byte) (status *epicv1.ProxyStatus, version string, err error)

func newTunnelReconciler(kind string, patch patchFunc) *tunnelReconciler {
	k := &tunnelReconciler{reconciler: newReconciler(kind), tally: newTally(kind), patch: patch, now: time.Now}
	k.reconcile = k.object
	return k
}

// object updates the status of one object.
func (k *tunnelReconciler) object(ctx context.Context, key cache.ObjectName) (outcome, error) {
	s, err := k.find(key)
	if apierrors.IsNotFound(err) {
		k.tally.forget(key)
		k.memory.forget(key)
		return outcome{result: resultUnchanged}, nil
	}
	if err != nil {
		return outcome{}, err
	}
	k.memory.update(key, func(r *remembered) {
		r.endpoints = len(s.endpoints) + len(s.problems)
		// The decision may be based on a version before the last write, so the event of
		// that write must not be skipped.
		if r.version != s.meta.ResourceVersion {
			r.version = ""
		}
	})
	if k.gone != nil && len(s.status.ProxyIfInfo) > 0 {
		s.gone = k.gone(ctx, key, s.status)
	}
	if k.linger > 0 {
		s.lingers = func(q pair) bool { return k.memory.lingers(key, q, k.now(), k.linger) }
	}
	p := planFor(s)
	k.memory.keepLingering(key, p.lingering)
	out := outcome{result: resultUnchanged}
	if len(p.lingering) > 0 {
		// The time may have passed since the plan was made.
		out.again = max(k.memory.nextEnd(key, k.now()), time.Millisecond)
	}
	k.tally.set(key, p.counts(s.status))
	data, err := statusPatch(s.meta, s.status, &p.status)
	if err != nil || data == nil {
		return out, err
	}
	patching, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	status, version, err := k.patch(patching, key, data)
	if err != nil {
		return outcome{}, err
	}
	k.memory.update(key, func(r *remembered) { r.version = version })
	k.tally.set(key, p.counts(status))
	recordTransitions(k.events, k.name, s.meta, s.status.Conditions, p.status.Conditions)
	klog.FromContext(ctx).V(2).Info("Wrote the status", "tunnels", len(p.pairs), "added", p.added, "removed", p.removed, "reason", p.reason)
	out.result = resultWritten
	return out, nil
}

// notOwnWrite is for watchThat: it skips the event of the reconciler's own last write,
// after which the object has its desired state. It does not skip a resync, which has the
// same version twice.
func notOwnWrite[T metav1.Object](k *tunnelReconciler) func(old, obj T) bool {
	return func(old, obj T) bool {
		return old.GetResourceVersion() == obj.GetResourceVersion() ||
			!k.memory.wrote(cache.NewObjectName(obj.GetNamespace(), obj.GetName()), obj.GetResourceVersion())
	}
}

// addLater enqueues an object with many endpoints after a delay when one of them changes,
// so several changes are handled together.
func (k *tunnelReconciler) addLater(key cache.ObjectName) {
	if wait := k.memory.wait(key); wait > 0 {
		k.queue.AddAfter(key, wait)
		return
	}
	k.add(key)
}

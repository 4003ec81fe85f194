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

// state is what is known of one load balancer or gateway proxy. What it points
// to is the cache's and must not be changed.
type state struct {
	meta      *metav1.ObjectMeta
	status    *epicv1.ProxyStatus
	endpoints []endpoints.Endpoint
	problems  []endpoints.Problem
	// listeners is which listeners of a Gateway can be used.
	listeners parts
	// direct is whether its endpoints are reached without tunnels.
	direct bool
	// portless is whether it publishes no port, and so serves nothing.
	portless bool
	// lost reports whether a gateway node is evicted; nil when none is.
	lost func(netip.Addr) bool
	// tunnels reports which tunnels are up; nil when nothing is known of any.
	tunnels stateFunc
	// gone has the proxies that are gone though they have an entry.
	gone map[string]bool
	// lingers reports whether a tunnel stays though it is no longer needed; nil when none
	// does.
	lingers func(pair) bool
}

// tunnelReconciler makes the tunnels of each object of one kind what its endpoints and
// its proxies need, and sets its conditions.
type tunnelReconciler struct {
	*reconciler
	tally  *tally
	memory memory
	// find gathers from the caches what is known of an object.
	find func(key cache.ObjectName) (*state, error)
	// patch sends a merge patch of an object's status and returns the new one, and
	// the version of the object.
	patch patchFunc
	// gone returns the proxies of an object that are gone though they have an
	// entry; nil when that is not known.
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

// object makes one object's status what it should be.
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
		// The decision may rest on a version before the last write, so the write's event
		// has to be looked at.
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
		// Its time may have come since the plan was made.
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

// notOwnWrite is for watchThat: it leaves out the event of the reconciler's own last
// write, after which the object is what it should be. It lets a resync through, which
// has the same version twice.
func notOwnWrite[T metav1.Object](k *tunnelReconciler) func(old, obj T) bool {
	return func(old, obj T) bool {
		return old.GetResourceVersion() == obj.GetResourceVersion() ||
			!k.memory.wrote(cache.NewObjectName(obj.GetNamespace(), obj.GetName()), obj.GetResourceVersion())
	}
}

// addLater has an object of many endpoints reconciled after a while, because one of
// them changed, so more changes are dealt with at once.
func (k *tunnelReconciler) addLater(key cache.ObjectName) {
	if wait := k.memory.wait(key); wait > 0 {
		k.queue.AddAfter(key, wait)
		return
	}
	k.add(key)
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

const (
	// fieldManager is who writes, in the objects' managed fields.
	fieldManager = "epic-controller"
	// An object that fails is tried again after minRetry, then after twice as
	// long each time, and no less often than every maxRetry.
	minRetry = 10 * time.Millisecond
	maxRetry = time.Minute
	// patchTimeout bounds one write, so that no worker waits for ever.
	patchTimeout = 30 * time.Second
)

// state is what is known of one load balancer or gateway proxy. What it points
// to is the cache's and must not be changed.
type state struct {
	meta      *metav1.ObjectMeta
	status    *epicv1.ProxyStatus
	endpoints []endpoints.Endpoint
	problems  []endpoints.Problem
	// direct is whether its endpoints are reached without tunnels.
	direct bool
}

// keeper keeps the tunnels of all objects of one kind.
type keeper struct {
	kind    string
	sources []source
	queue   workqueue.TypedRateLimitingInterface[cache.ObjectName]
	tally   *tally
	// find gathers from the caches what is known of an object.
	find func(key cache.ObjectName) (*state, error)
	// patch sends a merge patch of an object's status and returns the new one.
	patch func(ctx context.Context, key cache.ObjectName, data []byte) (*epicv1.ProxyStatus, error)
}

func newKeeper(kind string, patch func(context.Context, cache.ObjectName, []byte) (*epicv1.ProxyStatus, error)) *keeper {
	return &keeper{
		kind: kind,
		queue: workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](minRetry, maxRetry),
			workqueue.TypedRateLimitingQueueConfig[cache.ObjectName]{Name: kind}),
		tally: newTally(kind),
		patch: patch,
	}
}

// work takes objects from the queue until it is shut down.
func (k *keeper) work(ctx context.Context) {
	for {
		key, down := k.queue.Get()
		if down {
			return
		}
		// What is left when the program stops is the next leader's.
		if ctx.Err() == nil {
			k.handle(ctx, key)
		}
		k.queue.Done(key)
	}
}

// handle reconciles one object, and sees that it is tried again if that failed.
func (k *keeper) handle(ctx context.Context, key cache.ObjectName) {
	logger := klog.LoggerWithValues(klog.FromContext(ctx), "kind", k.kind, "object", key)
	what, err := k.reconcile(klog.NewContext(ctx, logger), key)
	switch {
	case err == nil:
		k.queue.Forget(key)
	case ctx.Err() != nil:
		return
	case apierrors.IsNotFound(err):
		// It went meanwhile, and its event is under way.
		k.queue.Forget(key)
		what = resultUnchanged
	case apierrors.IsConflict(err):
		// The cache is behind: the event that comes, or the retry, does it.
		logger.V(4).Info("The object changed meanwhile")
		k.queue.AddRateLimited(key)
		what = resultConflict
	default:
		logger.Error(err, "Keeping the tunnels failed; it is tried again", "tries", k.queue.NumRequeues(key)+1)
		k.queue.AddRateLimited(key)
		what = resultError
	}
	reconciles.WithLabelValues(k.kind, what).Inc()
}

// reconcile makes one object's status what it should be. A panic is an error of
// that object alone: no tenant's object stops the work for others.
func (k *keeper) reconcile(ctx context.Context, key cache.ObjectName) (what string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a defect of this program: %v\n%s", r, debug.Stack())
		}
	}()
	s, err := k.find(key)
	if apierrors.IsNotFound(err) {
		k.tally.forget(key)
		return resultUnchanged, nil
	}
	if err != nil {
		return "", err
	}
	p := planFor(s)
	k.tally.set(key, p.counts(s.status))
	data, err := statusPatch(s.meta, s.status, &p.status)
	if err != nil || data == nil {
		return resultUnchanged, err
	}
	patching, cancel := context.WithTimeout(ctx, patchTimeout)
	defer cancel()
	status, err := k.patch(patching, key, data)
	if err != nil {
		return "", err
	}
	k.tally.set(key, p.counts(status))
	klog.FromContext(ctx).V(2).Info("Wrote the status", "tunnels", len(p.pairs), "added", p.added, "removed", p.removed, "reason", p.reason)
	return resultWritten, nil
}

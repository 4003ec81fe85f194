// SPDX-License-Identifier: Apache-2.0

// Package watchrights ends watches whose user has lost the permission to watch. A watch is
// authorized when it starts, and its client chooses its duration, so without this package
// a user could keep reading for hours after the permission was revoked.
package watchrights

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/klog/v2"
)

// Every is the interval at which the permission for a watch is checked again.
const Every = time.Minute

// New returns a handler that ends the watches that next serves when their users lose the
// permission. The requests must have been authorized.
func New(next http.Handler, rights authorizer.Authorizer, every time.Duration) http.Handler {
	if rights == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := genericapirequest.RequestInfoFrom(r.Context())
		if !ok || !info.IsResourceRequest || info.Verb != "watch" {
			next.ServeHTTP(w, r)
			return
		}
		attributes, err := genericapifilters.GetAuthorizerAttributes(r.Context())
		if err != nil {
			next.ServeHTTP(w, r)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		watch := &watch{ctx: ctx, cancel: cancel, rights: rights, attributes: attributes, every: every}
		watch.again()
		defer watch.stop()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// watch is one watch. It has no goroutine between checks.
type watch struct {
	ctx        context.Context //nolint:containedctx // of the request
	cancel     context.CancelFunc
	rights     authorizer.Authorizer
	attributes authorizer.Attributes
	every      time.Duration

	mu    sync.Mutex
	timer *time.Timer
}

// again schedules the next check, after a random delay so watches that began at the same
// time are checked at different times.
func (w *watch) again() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx.Err() == nil {
		w.timer = time.AfterFunc(w.every-time.Duration(rand.Int64N(int64(w.every)/4+1)), w.check) //nolint:gosec // spreads the load
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timer.Stop()
}

func (w *watch) check() {
	decision, reason, err := w.rights.Authorize(w.ctx, w.attributes)
	// Keep the watch if the authorizer fails.
	if err != nil || decision == authorizer.DecisionAllow {
		w.again()
		return
	}
	klog.FromContext(w.ctx).Info("Ended a watch because its user no longer has permission", "user", w.attributes.GetUser().GetName(),
		"resource", w.attributes.GetResource(), "namespace", w.attributes.GetNamespace(), "reason", reason)
	w.cancel()
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"net/netip"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
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
	// lost says whether a gateway node is given up; nil when none is.
	lost func(netip.Addr) bool
}

// keeper keeps the tunnels of all objects of one kind.
type keeper struct {
	*loop
	tally *tally
	// find gathers from the caches what is known of an object.
	find func(key cache.ObjectName) (*state, error)
	// patch sends a merge patch of an object's status and returns the new one.
	patch func(ctx context.Context, key cache.ObjectName, data []byte) (*epicv1.ProxyStatus, error)
}

func newKeeper(kind string, patch func(context.Context, cache.ObjectName, []byte) (*epicv1.ProxyStatus, error)) *keeper {
	k := &keeper{loop: newLoop(kind), tally: newTally(kind), patch: patch}
	k.reconcile = k.keep
	return k
}

// keep makes one object's status what it should be.
func (k *keeper) keep(ctx context.Context, key cache.ObjectName) (what string, err error) {
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
	patching, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	status, err := k.patch(patching, key, data)
	if err != nil {
		return "", err
	}
	k.tally.set(key, p.counts(status))
	klog.FromContext(ctx).V(2).Info("Wrote the status", "tunnels", len(p.pairs), "added", p.added, "removed", p.removed, "reason", p.reason)
	return resultWritten, nil
}

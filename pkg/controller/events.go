// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// informed is a source of a controller: a cache whose events concern objects of the
// controller's kind. Its handler adds them to the queue.
type informed struct {
	informer cache.SharedIndexInformer
	handler  cache.ResourceEventHandler
}

var _ source.TypedSource[cache.ObjectName] = informed{}

// Start implements source.TypedSource.
func (s informed) Start(context.Context, queue) error {
	_, err := s.informer.AddEventHandler(s.handler)
	return err
}

// watch has the objects reconciled that concerned names whenever an object of the
// cache changes. It also asks about the object as it was before an update, which may
// have concerned others.
func watch[T any](r *reconciler, informer cache.SharedIndexInformer, concerned func(T) []cache.ObjectName) {
	watchThat(r, informer, func(T, T) bool { return true }, concerned)
}

// watchThat is watch for those changes only that matter.
func watchThat[T any](r *reconciler, informer cache.SharedIndexInformer, matters func(old, obj T) bool, concerned func(T) []cache.ObjectName) {
	watchInto(r, r.add, informer, matters, concerned)
}

// watchInto is watchThat for a reconciler whose objects put adds to its queue.
func watchInto[T any](r *reconciler, put func(cache.ObjectName), informer cache.SharedIndexInformer, matters func(old, obj T) bool, concerned func(T) []cache.ObjectName) {
	add := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if o, ok := obj.(T); ok {
			for _, key := range concerned(o) {
				put(key)
			}
		}
	}
	r.sources = append(r.sources, informed{informer, cache.ResourceEventHandlerFuncs{
		AddFunc: add,
		UpdateFunc: func(old, obj any) {
			if before, ok := old.(T); ok {
				if now, ok := obj.(T); ok && !matters(before, now) {
					return
				}
			}
			add(old)
			add(obj)
		},
		DeleteFunc: add,
	}})
}

// never is for watchThat where only what comes and goes matters.
func never[T any](T, T) bool { return false }

// itself is for the cache of the reconciler's own kind.
func itself[T interface {
	GetNamespace() string
	GetName() string
}](o T) []cache.ObjectName {
	return []cache.ObjectName{cache.NewObjectName(o.GetNamespace(), o.GetName())}
}

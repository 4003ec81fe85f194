// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// informed is a source of a controller: a cache whose events concern objects of the
// controller's kind. Its handler adds those objects to the queue.
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

// watch reconciles the objects that concerned returns for each object of the cache that
// changes. On an update, it calls concerned for the old object, too, which may have
// concerned others.
func watch[T any](r *reconciler, informer cache.SharedIndexInformer, concerned func(T) []cache.ObjectName) {
	watchThat(r, informer, func(T, T) bool { return true }, concerned)
}

// watchThat is like watch, but only for relevant changes.
func watchThat[T any](r *reconciler, informer cache.SharedIndexInformer, matters func(old, obj T) bool, concerned func(T) []cache.ObjectName) {
	watchInto(r, r.add, informer, matters, concerned)
}

// watchInto is like watchThat, for a reconciler to whose queue put adds objects.
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

// never is for watchThat if only additions and deletions matter.
func never[T any](T, T) bool { return false }

// itself returns the name of o. It is for the cache of the reconciler's own kind.
func itself[T interface {
	GetNamespace() string
	GetName() string
}](o T) []cache.ObjectName {
	return []cache.ObjectName{cache.NewObjectName(o.GetNamespace(), o.GetName())}
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"k8s.io/client-go/tools/cache"
)

// source is a cache whose events concern the objects of a loop.
type source struct {
	informer cache.SharedIndexInformer
	handler  cache.ResourceEventHandler
}

// watch makes the loop look at the objects that concerned names whenever an
// object of the cache changes: those of its old state too, which it may have
// left.
func watch[T any](l *loop, informer cache.SharedIndexInformer, concerned func(T) []cache.ObjectName) {
	watchThat(l, informer, func(T, T) bool { return true }, concerned)
}

// watchThat is watch for those changes only that matter.
func watchThat[T any](l *loop, informer cache.SharedIndexInformer, matters func(old, obj T) bool, concerned func(T) []cache.ObjectName) {
	watchInto(l, l.add, informer, matters, concerned)
}

// watchInto is watchThat for a loop whose objects are added to its queue by put.
func watchInto[T any](l *loop, put func(cache.ObjectName), informer cache.SharedIndexInformer, matters func(old, obj T) bool, concerned func(T) []cache.ObjectName) {
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
	l.sources = append(l.sources, source{informer, cache.ResourceEventHandlerFuncs{
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

// itself is for the cache of the loop's own kind.
func itself[T interface {
	GetNamespace() string
	GetName() string
}](o T) []cache.ObjectName {
	return []cache.ObjectName{cache.NewObjectName(o.GetNamespace(), o.GetName())}
}

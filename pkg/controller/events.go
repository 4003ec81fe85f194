// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"k8s.io/client-go/tools/cache"
)

// source is a cache whose events concern the objects of a keeper.
type source struct {
	informer cache.SharedIndexInformer
	handler  cache.ResourceEventHandler
}

// watch makes the keeper look at the objects that concerned names whenever an
// object of the cache changes: those of its old state too, which it may have
// left.
func watch[T any](k *keeper, informer cache.SharedIndexInformer, concerned func(T) []cache.ObjectName) {
	add := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if o, ok := obj.(T); ok {
			for _, key := range concerned(o) {
				k.queue.Add(key)
			}
		}
	}
	k.sources = append(k.sources, source{informer, cache.ResourceEventHandlerFuncs{
		AddFunc:    add,
		UpdateFunc: func(old, obj any) { add(old); add(obj) },
		DeleteFunc: add,
	}})
}

// itself is for the cache of the keeper's own kind.
func itself[T interface {
	GetNamespace() string
	GetName() string
}](o T) []cache.ObjectName {
	return []cache.ObjectName{cache.NewObjectName(o.GetNamespace(), o.GetName())}
}

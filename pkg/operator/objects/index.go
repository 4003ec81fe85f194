// SPDX-License-Identifier: Apache-2.0

package objects

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// index returns the index function for one type of object.
func index[T any](values func(T) []string) cache.IndexFunc {
	return func(obj any) ([]string, error) {
		if o, ok := obj.(T); ok {
			return values(o), nil
		}
		return nil, nil
	}
}

// in returns names qualified with the namespace. It omits empty names.
func in(namespace string, names ...string) []string {
	var all []string
	for _, name := range names {
		if name != "" {
			all = append(all, namespace+"/"+name)
		}
	}
	return all
}

// groupOf returns the namespace and name of an object's service group.
func groupOf(obj metav1.Object) (namespace, name string) {
	labels := obj.GetLabels()
	namespace = labels[epic.OwningLBServiceGroupNamespaceLabel]
	if namespace == "" {
		namespace = obj.GetNamespace()
	}
	return namespace, labels[epic.OwningLBServiceGroupLabel]
}

func groupIndex(obj any) ([]string, error) {
	if o, ok := obj.(metav1.Object); ok {
		namespace, name := groupOf(o)
		return in(namespace, name), nil
	}
	return nil, nil
}

func get[T any](informer cache.SharedIndexInformer, namespace, name string) T {
	var none T
	if name == "" {
		return none
	}
	obj, exists, err := informer.GetIndexer().GetByKey(namespace + "/" + name)
	if err != nil || !exists {
		return none
	}
	o, _ := obj.(T)
	return o
}

func find[T any](informer cache.SharedIndexInformer, index, namespace, name string) []T {
	// The index exists: New adds it.
	found, _ := informer.GetIndexer().ByIndex(index, namespace+"/"+name)
	all := make([]T, 0, len(found))
	for _, obj := range found {
		if o, ok := obj.(T); ok {
			all = append(all, o)
		}
	}
	return all
}

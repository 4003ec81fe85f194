// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	registrytesting "k8s.io/apiserver/pkg/registry/generic/testing"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// podStrategy is what a registry of pods needs.
type podStrategy struct {
	runtime.ObjectTyper
	names.NameGenerator
}

func (podStrategy) NamespaceScoped() bool                            { return true }
func (podStrategy) AllowCreateOnUpdate(context.Context) bool         { return false }
func (podStrategy) AllowUnconditionalUpdate(context.Context) bool    { return true }
func (podStrategy) PrepareForCreate(context.Context, runtime.Object) {}
func (podStrategy) PrepareForUpdate(context.Context, runtime.Object, runtime.Object) {
}

func (podStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	if obj.(*example.Pod).Spec.NodeName == "bad" {
		return field.ErrorList{field.Invalid(field.NewPath("spec", "nodeName"), "bad", "")}
	}
	return nil
}

func (s podStrategy) ValidateUpdate(ctx context.Context, obj, _ runtime.Object) field.ErrorList {
	return s.Validate(ctx, obj)
}
func (podStrategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (podStrategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
func (podStrategy) Canonicalize(runtime.Object) {}

// identifyingRules give a UID to pods that the suite puts into the storage past
// the registry. All pods claim their names.
type identifyingRules struct{ nameRules }

func (identifyingRules) Plan(_ context.Context, _ *Plan, old, obj runtime.Object) error {
	if pod := obj.(*example.Pod); old == nil && pod.UID == "" {
		pod.UID = uidFor(pod)
	}
	return nil
}

// newPodRegistry is a registry of pods as an API server has it: on the watch
// cache, the claims, and etcd.
func newPodRegistry(t *testing.T, b *Backend) *genericregistry.Store {
	t.Helper()
	resource := schema.GroupResource{Group: example.GroupName, Resource: "pods"}
	cfg := storagebackend.Config{Prefix: b.layout.root[:len(b.layout.root)-len("/.claims/")], Codec: codec, LeaseManagerConfig: etcd3.NewDefaultLeaseManagerConfig(), EventsHistoryWindow: cacher.DefaultEventFreshDuration}
	getter := b.RESTOptionsGetter(generic.RESTOptions{
		StorageConfig: cfg.ForResource(resource), ResourcePrefix: "/pods", DeleteCollectionWorkers: 2, EnableGarbageCollection: true,
	}, Kinds{"pods": identifyingRules{}}, nil)
	if _, err := getter.GetRESTOptions(schema.GroupResource{Resource: "other"}, nil); err == nil {
		t.Error("a kind without rules gets a storage")
	}
	strategy := podStrategy{scheme, names.SimpleNameGenerator}
	s := &genericregistry.Store{
		NewFunc: newPod, NewListFunc: newPodList, DefaultQualifiedResource: resource, SingularQualifiedResource: schema.GroupResource{Group: example.GroupName, Resource: "pod"},
		PredicateFunc: func(l labels.Selector, f fields.Selector) storage.SelectionPredicate {
			return storage.SelectionPredicate{Label: l, Field: f, GetAttrs: podAttrs}
		},
		CreateStrategy: strategy, UpdateStrategy: strategy, DeleteStrategy: strategy, ReturnDeletedObject: false,
		TableConvertor: rest.NewDefaultTableConvertor(resource),
	}
	if err := s.CompleteWithOptions(&generic.StoreOptions{RESTOptions: getter, AttrFunc: podAttrs}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.DestroyFunc)
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, wait.ForeverTestTimeout, true, func(context.Context) (bool, error) {
		return s.Storage.Storage.ReadinessCheck() == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestGenericRegistry runs the suite by which Kubernetes tests the registries of
// its kinds. It works in a namespace "test" and puts objects past the registry,
// which no kind of EPIC allows; so the kind is a pod that claims its name.
func TestGenericRegistry(t *testing.T) {
	valid := func() *example.Pod {
		return &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "foo"}, Spec: example.PodSpec{NodeName: "machine", RestartPolicy: "Always"}}
	}
	bad := valid()
	bad.Spec.NodeName = "bad"
	for name, run := range map[string]func(*registrytesting.Tester){
		"Create": func(r *registrytesting.Tester) { r.TestCreate(valid(), bad) },
		"Update": func(r *registrytesting.Tester) {
			r.TestUpdate(valid(), func(obj runtime.Object) runtime.Object {
				obj.(*example.Pod).Labels = map[string]string{"a": "b"}
				return obj
			}, func(obj runtime.Object) runtime.Object {
				obj.(*example.Pod).Spec.NodeName = "bad"
				return obj
			})
		},
		"Delete": func(r *registrytesting.Tester) { r.TestDelete(valid()) },
		"Get":    func(r *registrytesting.Tester) { r.TestGet(valid()) },
		"List":   func(r *registrytesting.Tester) { r.TestList(valid()) },
		"Watch": func(r *registrytesting.Tester) {
			r.TestWatch(valid(),
				[]labels.Set{{}}, []labels.Set{{"foo": "bar"}},
				[]fields.Set{{"metadata.name": "foo"}, {"spec.nodeName": "machine"}}, []fields.Set{{"metadata.name": "bar"}, {"spec.nodeName": "other"}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			// The suite watches from revision 1, so the schema comes after the
			// cache.
			b := newBackend(newKubeClient(t, ownEtcd(t, nil)), "/registry")
			registry := newPodRegistry(t, b)
			if err := b.claimSchema(t.Context(), "/registry"); err != nil {
				t.Fatal(err)
			}
			run(registrytesting.New(t, registry))
			clean(t, b)
		})
	}
}

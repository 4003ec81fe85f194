// SPDX-License-Identifier: Apache-2.0

package registrytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/warning"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/scheme"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/registry"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/reach"
)

// Object is an object of any kind.
type Object interface {
	runtime.Object
	metav1.Object
}

// World is the storage of all kinds on a prefix of etcd that no other test uses.
type World struct {
	t testing.TB
	// Claims is the part of the storage that all kinds share.
	Claims *claims.Backend
	// Terminating holds the names of the namespaces that are being deleted.
	Terminating map[string]bool
	// Authorize decides what the requests' user may do beyond a group, and may
	// change other objects first, as another request would. Nil allows everything.
	Authorize func(authorizer.Attributes) authorizer.Decision
	// DuringCheck, if set, runs once while endpoints without a tunnel are checked, after
	// the objects they belong to were read. It may change those objects, as another
	// request would.
	DuringCheck func()
	// Etcd is a connection that bypasses everything under test, and Prefix is the prefix
	// of objects and claims.
	Etcd   *clientv3.Client
	Prefix string

	storage map[string]rest.Storage
	damaged bool
	// warned holds the warnings of the last request.
	warned []string
}

var worlds atomic.Int64

// New returns an empty World. At the end of the test, its audit must find no problems.
func New(t testing.TB) *World {
	t.Helper()
	if endpoint == "" {
		t.Fatal("the package's TestMain does not call registrytest.Main")
	}
	w := &World{t: t, Terminating: map[string]bool{}, Prefix: fmt.Sprintf("/world%d", worlds.Add(1))}
	var err error
	transport := storagebackend.TransportConfig{ServerList: []string{endpoint}}
	if w.Claims, err = claims.NewBackend(t.Context(), storagebackend.Config{Prefix: w.Prefix, Transport: transport}); err != nil {
		t.Fatal(err)
	}
	if w.Etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Etcd.Close() })
	info, _, err := registry.NewAPIGroupInfo(registry.Config{
		RESTOptionsGetter: getter{w.Prefix, transport},
		Claims:            w.Claims,
		Reach:             reach.Rules{Cluster: duringCheck{w}},
		NamespaceTerminating: func(_ context.Context, name string) (bool, error) {
			return w.Terminating[name], nil
		},
		Authorizer: authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
			if w.Authorize == nil {
				return authorizer.DecisionAllow, "", nil
			}
			return w.Authorize(a), "", nil
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.storage = info.VersionedResourcesStorageMap[v1.SchemeGroupVersion.Version]
	t.Cleanup(func() {
		if !w.damaged {
			w.clean()
		}
		for _, s := range w.storage {
			s.Destroy()
		}
		if err := w.Claims.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// duringCheck is a gateway cluster without addresses.
type duringCheck struct{ w *World }

// Deny implements reach.Cluster.
func (d duringCheck) Deny(*reach.Denied) error {
	if f := d.w.DuringCheck; f != nil {
		d.w.DuringCheck = nil
		f()
	}
	return nil
}

// getter returns the location of each kind in etcd.
type getter struct {
	prefix    string
	transport storagebackend.TransportConfig
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g getter) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	cfg := storagebackend.Config{
		Prefix:              g.prefix,
		Transport:           g.transport,
		Codec:               scheme.Codecs.LegacyCodec(v1.SchemeGroupVersion),
		LeaseManagerConfig:  etcd3.NewDefaultLeaseManagerConfig(),
		EventsHistoryWindow: storagebackend.DefaultEventsHistoryWindow,
	}
	return generic.RESTOptions{
		StorageConfig:           cfg.ForResource(resource),
		ResourcePrefix:          "/" + resource.Group + "/" + resource.Resource,
		DeleteCollectionWorkers: 1,
		EnableGarbageCollection: true,
		CountMetricPollPeriod:   0,
	}, nil
}

// Audit compares objects and claims.
func (w *World) Audit() *claims.Report {
	w.t.Helper()
	r, err := w.Claims.Audit(context.WithoutCancel(w.t.Context()))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *World) clean() {
	w.t.Helper()
	for _, p := range w.Audit().Problems {
		w.t.Errorf("audit: %s %s %s: %s", p.Type, p.Claim, p.Owner, p.Message)
	}
}

// Problems returns the problems that an audit finds, without the problems' objects.
func (w *World) Problems() []string {
	w.t.Helper()
	var out []string
	for _, p := range w.Audit().Problems {
		out = append(out, string(p.Type)+" "+p.Claim+": "+p.Message)
	}
	return out
}

// Damage replaces text in the stored form of an object in etcd. Caches above etcd notice
// the change.
func (w *World) Damage(obj Object, old, text string) {
	w.t.Helper()
	w.damaged = true
	key := w.key(obj)
	resp, err := w.Etcd.Get(w.t.Context(), key)
	if err != nil || len(resp.Kvs) != 1 || !strings.Contains(string(resp.Kvs[0].Value), old) {
		w.t.Fatalf("%s has no %q: %v, %v", key, old, resp, err)
	}
	if _, err := w.Etcd.Put(w.t.Context(), key, strings.ReplaceAll(string(resp.Kvs[0].Value), old, text)); err != nil {
		w.t.Fatal(err)
	}
}

// Drop removes an object from etcd and leaves its claims.
func (w *World) Drop(obj Object) {
	w.t.Helper()
	w.damaged = true
	resp, err := w.Etcd.Delete(w.t.Context(), w.key(obj))
	if err != nil || resp.Deleted != 1 {
		w.t.Fatalf("%s: %v, %v", w.key(obj), resp, err)
	}
}

func (w *World) key(obj Object) string {
	return strings.Join([]string{w.Prefix, epic.GroupName, w.resource(obj), obj.GetNamespace(), obj.GetName()}, "/")
}

// Warned returns the warnings of the last request.
func (w *World) Warned() string { return strings.Join(w.warned, "\n") }

// AddWarning implements warning.Recorder.
func (w *World) AddWarning(_, text string) {
	if !slices.Contains(w.warned, text) {
		w.warned = append(w.warned, text)
	}
}

// User is the name of the user who sends the requests.
const User = "jane"

// request returns the context of a request to a namespace.
func (w *World) request(namespace string) context.Context {
	w.warned = nil
	return warning.WithWarningRecorder(Request(namespace), w)
}

// Request returns the context of a request to a namespace, for tests that send several
// concurrently.
func Request(namespace string) context.Context {
	ctx := genericapirequest.WithUser(genericapirequest.NewContext(), &user.DefaultInfo{Name: User})
	return genericapirequest.WithNamespace(ctx, namespace)
}

// REST returns the storage of obj's kind.
func (w *World) REST(obj runtime.Object) *kind.REST {
	return w.storage[w.resource(obj)].(*kind.REST)
}

// Status returns the storage of the status of obj's kind.
func (w *World) Status(obj runtime.Object) *kind.StatusREST {
	return w.storage[w.resource(obj)+"/status"].(*kind.StatusREST)
}

// Resource returns the plural resource name of obj's kind.
func (w *World) Resource(obj runtime.Object) string { return w.resource(obj) }

func (w *World) resource(obj runtime.Object) string {
	w.t.Helper()
	kinds, _, err := scheme.Scheme.ObjectKinds(obj)
	if err != nil {
		w.t.Fatal(err)
	}
	return registry.Resources()[kinds[0].GroupKind()].Resource
}

// Create creates an object and returns what was stored.
func Create[T Object](w *World, obj T, dryRun ...string) (T, error) {
	w.t.Helper()
	out, err := w.REST(obj).Create(w.request(obj.GetNamespace()), obj.DeepCopyObject(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{DryRun: dryRun})
	return result[T](out, err)
}

// MustCreate is like Create, and fails the test on an error.
func MustCreate[T Object](w *World, obj T) T {
	w.t.Helper()
	out, err := Create(w, obj)
	if err != nil {
		w.t.Fatalf("create %s/%s: %v", obj.GetNamespace(), obj.GetName(), err)
	}
	return out
}

// Get reads an object.
func Get[T Object](w *World, obj T) (T, error) {
	w.t.Helper()
	out, err := w.REST(obj).Get(w.request(obj.GetNamespace()), obj.GetName(), &metav1.GetOptions{})
	return result[T](out, err)
}

// Update writes an object and returns what was stored.
func Update[T Object](w *World, obj T, dryRun ...string) (T, error) {
	w.t.Helper()
	out, _, err := w.REST(obj).Update(w.request(obj.GetNamespace()), obj.GetName(), rest.DefaultUpdatedObjectInfo(obj.DeepCopyObject()),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{DryRun: dryRun})
	return result[T](out, err)
}

// MustUpdate is like Update, and fails the test on an error.
func MustUpdate[T Object](w *World, obj T) T {
	w.t.Helper()
	out, err := Update(w, obj)
	if err != nil {
		w.t.Fatalf("update %s/%s: %v", obj.GetNamespace(), obj.GetName(), err)
	}
	return out
}

// UpdateStatus writes an object's status and returns what was stored.
func UpdateStatus[T Object](w *World, obj T, dryRun ...string) (T, error) {
	w.t.Helper()
	out, _, err := w.Status(obj).Update(w.request(obj.GetNamespace()), obj.GetName(), rest.DefaultUpdatedObjectInfo(obj.DeepCopyObject()),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, true, &metav1.UpdateOptions{DryRun: dryRun})
	return result[T](out, err)
}

// Delete deletes an object.
func Delete[T Object](w *World, obj T, dryRun ...string) error {
	w.t.Helper()
	_, _, err := w.REST(obj).Delete(w.request(obj.GetNamespace()), obj.GetName(), rest.ValidateAllObjectFunc, &metav1.DeleteOptions{DryRun: dryRun})
	return err
}

// MustDelete is like Delete, and fails the test on an error.
func MustDelete[T Object](w *World, obj T) {
	w.t.Helper()
	if err := Delete(w, obj); err != nil {
		w.t.Fatalf("delete %s/%s: %v", obj.GetNamespace(), obj.GetName(), err)
	}
}

// Exported returns obj as a backup or a repository has it: without the metadata that only
// the server writes, and without status.
func Exported[T Object](obj T) T {
	out := obj.DeepCopyObject().(T) //nolint:errcheck,forcetypeassert // a copy has the type of its original
	out.SetUID("")
	out.SetResourceVersion("")
	out.SetGeneration(0)
	out.SetCreationTimestamp(metav1.Time{})
	out.SetManagedFields(nil)
	return out
}

func result[T Object](out runtime.Object, err error) (T, error) {
	obj, _ := out.(T)
	return obj, err
}

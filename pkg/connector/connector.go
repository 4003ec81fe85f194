// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
)

// Options configures a connector, in addition to its two clusters.
type Options struct {
	// Cluster is the ID of the client cluster in EPIC.
	Cluster string
	// ClusterUID distinguishes client clusters that were accidentally given the same ID.
	ClusterUID string
	// FormerClusters lists earlier IDs of the client cluster, or those of clusters that
	// it replaces. Objects that were published under them belong to this cluster.
	FormerClusters []string
	// Namespace is the account's namespace in EPIC.
	Namespace string
	// Group is the service group of objects that name none.
	Group string
	// Workers is the number of objects of a kind that are processed concurrently.
	Workers int
	// RewriteSecrets is the interval at which Secrets are written again, because the
	// connector is not permitted to read whether they still exist.
	RewriteSecrets time.Duration
	// RetryRefused is the delay before a write that EPIC refused is retried.
	RetryRefused time.Duration
	// Secrets writes certificates to EPIC.
	Secrets SecretWriter
}

// Scheme returns a scheme with the types of both clusters.
func Scheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, gatewayv1.Install, epicv1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("build the scheme: %w", err)
		}
	}
	return scheme, nil
}

// LocalCache returns the cache options for the client cluster: only Secrets with
// certificates and, of other objects, only what the connector reads.
func LocalCache() cache.Options {
	return cache.Options{
		DefaultTransform:             cache.TransformStripManagedFields(),
		DefaultUnsafeDisableDeepCopy: ptr.To(true),
		ByObject: map[client.Object]cache.ByObject{
			&corev1.Secret{}:    {Field: fields.OneTermEqualSelector("type", string(corev1.SecretTypeTLS))},
			&corev1.ConfigMap{}: {Transform: onlyAuthorities},
			// Those that represent Gateways.
			&corev1.ServiceAccount{}: {Label: gatewayLabel},
		},
	}
}

// gatewayLabel selects objects labeled with the name of a Gateway.
var gatewayLabel = labels.NewSelector().Add(*must(labels.NewRequirement(gatewayv1.GatewayNameLabelKey, selection.Exists, nil)))

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// onlyAuthorities keeps only the certificates of authorities in a ConfigMap.
func onlyAuthorities(o any) (any, error) {
	m, ok := o.(*corev1.ConfigMap)
	if !ok {
		return o, nil
	}
	m.ManagedFields, m.Annotations, m.BinaryData = nil, nil, nil
	data, has := m.Data[publish.AuthorityKey]
	m.Data = nil
	if has {
		m.Data = map[string]string{publish.AuthorityKey: data}
	}
	return m, nil
}

// RemoteCache returns the cache options for EPIC: the account's namespace, and the
// service groups that are offered to every account.
func RemoteCache(namespace string) cache.Options {
	return cache.Options{
		DefaultTransform:             cache.TransformStripManagedFields(),
		DefaultUnsafeDisableDeepCopy: ptr.To(true),
		DefaultNamespaces:            map[string]cache.Config{namespace: {}},
		ByObject: map[client.Object]cache.ByObject{
			&epicv1.LBServiceGroup{}: {Namespaces: map[string]cache.Config{namespace: {}, epic.ConfigNamespace: {}}},
		},
	}
}

// base is the common part of all reconcilers.
type base struct {
	options Options
	// local reads the client cluster from caches and writes to it; direct reads it
	// without the caches.
	local  client.Client
	direct client.Reader
	// epic reads EPIC from caches.
	epic     client.Reader
	remote   *remote
	secrets  *secretKeeper
	recorder events.EventRecorder
}

// Add adds the connector's controllers to a manager of the client cluster. The manager
// also runs the cluster object of EPIC.
func Add(ctx context.Context, mgr manager.Manager, remoteCluster cluster.Cluster, options Options) error {
	if err := mgr.Add(remoteCluster); err != nil {
		return fmt.Errorf("add EPIC to the manager: %w", err)
	}
	if err := addIndexes(ctx, mgr.GetFieldIndexer(), localIndexes()); err != nil {
		return err
	}
	if err := addIndexes(ctx, remoteCluster.GetFieldIndexer(), remoteIndexes()); err != nil {
		return err
	}
	b := &base{
		options:  options,
		local:    mgr.GetClient(),
		direct:   mgr.GetAPIReader(),
		epic:     remoteCluster.GetCache(),
		remote:   newRemote(remoteCluster.GetClient(), remoteCluster.GetCache(), remoteCluster.GetAPIReader(), options),
		secrets:  newSecretKeeper(options.Secrets, options.Cluster, remoteCluster.GetCache()),
		recorder: mgr.GetEventRecorder("epic-connector"),
	}
	w := &watcher{base: b, mgr: mgr, remote: remoteCluster}
	for _, add := range []func(*watcher) error{
		addGatewayClasses, addClassHolder, addGateways, addRoutes, addEndpointSlices, addPolicies, addServices,
	} {
		if err := add(w); err != nil {
			return err
		}
	}
	return mgr.Add(&secretRunner{base: b, synced: func(ctx context.Context) bool {
		return mgr.GetCache().WaitForCacheSync(ctx) && remoteCluster.GetCache().WaitForCacheSync(ctx)
	}})
}

// config returns the configuration for package publish, with the current groups in EPIC.
func (b *base) config(ctx context.Context) (*publish.Config, error) {
	var groups epicv1.LBServiceGroupList
	if err := b.epic.List(ctx, &groups, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list service groups: %w", err)
	}
	names := sets.New[string]()
	for i := range groups.Items {
		names.Insert(groups.Items[i].Name)
	}
	group := b.options.Group
	if group == "" && names.Len() == 1 {
		// It is the only choice.
		group = names.UnsortedList()[0]
	}
	return &publish.Config{Cluster: b.options.Cluster, ClusterUID: b.options.ClusterUID, Namespace: b.options.Namespace, Group: group, Groups: names}, nil
}

// errStale is returned instead of removing something if the caches may be outdated. The
// object is reconciled again shortly.
var errStale = errors.New("the cache is outdated")

// confirm returns errStale unless a local object is unchanged since the cache got it; cached is nil if it is
// not in the cache. Published objects are only removed after this check:
// a cache may lag behind, and a released address may be assigned to another object.
func confirm[T any, P interface {
	*T
	client.Object
}](ctx context.Context, b *base, name types.NamespacedName, cached P) error {
	version := ""
	if cached != nil {
		version = cached.GetResourceVersion()
	}
	return b.confirmVersion(ctx, name, P(new(T)), version)
}

// confirmVersion is confirm for an object of a version in the cache, or "" if it is not
// in the cache. It reads the object into now.
func (b *base) confirmVersion(ctx context.Context, name types.NamespacedName, now client.Object, version string) error {
	err := b.direct.Get(ctx, name, now)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("read %s %s: %w", kindOf(now), name, err)
	case now.GetResourceVersion() != version:
		return errStale
	}
	return nil
}

// former returns IDs that the cluster no longer has; clusters returns its current and
// earlier ones.
func (b *base) former() []string {
	return slices.DeleteFunc(slices.Clone(b.options.FormerClusters), func(c string) bool { return c == b.options.Cluster })
}

func (b *base) clusters() []string { return append(b.former(), b.options.Cluster) }

// owns reports whether this cluster is an owner of a shared object through a local
// object.
func (b *base) owns(o client.Object, uid types.UID) bool {
	return slices.ContainsFunc(b.clusters(), func(c string) bool { return o.GetAnnotations()[epic.OwnerAnnotation(c)] == string(uid) })
}

// published returns the objects in EPIC that this cluster created for a local object of a
// name, and those that it shares through the local object with a UID, if there is one.
// list returns the objects for a key of clientNameIndex.
func published[T client.Object](b *base, name types.NamespacedName, uid types.UID, list func(key string) ([]T, error)) ([]T, error) {
	made, err := list(name.String())
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(made, func(o T) bool { return !b.remote.mine(o) })
	if uid == "" {
		return found, nil
	}
	shared, err := list(ownerKey(string(uid)))
	if err != nil {
		return nil, err
	}
	for _, o := range shared {
		if b.owns(o, uid) && !named(found, o.GetName()) {
			found = append(found, o)
		}
	}
	return found, nil
}

// named reports whether any of the objects has a name.
func named[T client.Object](objects []T, name string) bool {
	return slices.ContainsFunc(objects, func(o T) bool { return o.GetName() == name })
}

// disown removes clusters from the owners of a shared object.
func disown(o client.Object, clusters []string) {
	for _, c := range clusters {
		delete(o.GetAnnotations(), epic.OwnerAnnotation(c))
	}
}

func (b *base) view(ctx context.Context) *view { return newView(ctx, b.local) }

// writeStatus writes the status of a local object if it was changed since it was read.
func (b *base) writeStatus(ctx context.Context, before, after client.Object) error {
	if equality.Semantic.DeepEqual(before, after) {
		return nil
	}
	// Other controllers have entries in the same lists, so the version read must be the
	// latest.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	err := b.local.Status().Patch(ctx, after, patch)
	if apierrors.IsNotFound(err) {
		// It has been deleted.
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the status of %T %s: %w", after, client.ObjectKeyFromObject(after), err)
	}
	statusWrites.WithLabelValues(kindOf(after)).Inc()
	return nil
}

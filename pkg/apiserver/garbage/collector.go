// SPDX-License-Identifier: Apache-2.0

// Package garbage deletes objects whose owners no longer exist, and completes foreground
// and orphaning deletions, on a standalone server without a kube-controller-manager. It
// only handles this API group, and owners in the same namespace.
package garbage

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/workers"
)

const byOwner, byUID = "owner", "uid"

// Collector watches the metadata of all objects of a group.
type Collector struct {
	client      metadata.Interface
	connections *http.Client
	// kinds maps each kind to its resource.
	kinds     map[schema.GroupKind]schema.GroupVersionResource
	informers map[schema.GroupVersionResource]cache.SharedIndexInformer
	// queue holds the UIDs of owners to process.
	queue workqueue.TypedRateLimitingInterface[types.UID]
}

// New returns a collector for the given kinds.
func New(config *rest.Config, kinds map[schema.GroupKind]schema.GroupVersionResource) (*Collector, error) {
	config = metadata.ConfigFor(config)
	connections, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("can't create the garbage collector's connections: %w", err)
	}
	client, err := metadata.NewForConfigAndClient(config, connections)
	if err != nil {
		return nil, fmt.Errorf("can't create the garbage collector's client: %w", err)
	}
	c := &Collector{
		client: client, connections: connections, kinds: kinds, informers: map[schema.GroupVersionResource]cache.SharedIndexInformer{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.UID](5*time.Millisecond, 30*time.Second)),
	}
	factory := metadatainformer.NewSharedInformerFactory(client, 0)
	for _, resource := range kinds {
		informer := factory.ForResource(resource).Informer()
		if err := informer.AddIndexers(cache.Indexers{byOwner: ownerUIDs, byUID: ownUID}); err != nil {
			return nil, fmt.Errorf("can't index %s: %w", resource.Resource, err)
		}
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    c.enqueue,
			UpdateFunc: func(_, obj any) { c.enqueue(obj) },
			DeleteFunc: c.enqueue,
		}); err != nil {
			return nil, fmt.Errorf("can't watch %s: %w", resource.Resource, err)
		}
		c.informers[resource] = informer
	}
	return c, nil
}

func ownUID(obj any) ([]string, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, err
	}
	return []string{string(m.GetUID())}, nil
}

func ownerUIDs(obj any) ([]string, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, r := range m.GetOwnerReferences() {
		out = append(out, string(r.UID))
	}
	return out, nil
}

// enqueue adds the object, as an owner, and its owners to the queue.
func (c *Collector) enqueue(obj any) {
	if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = gone.Obj
	}
	m, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return
	}
	c.queue.Add(m.UID)
	for _, r := range m.OwnerReferences {
		c.queue.Add(r.UID)
	}
}

// Run collects until ctx ends. When it returns, all of its goroutines have ended and its
// connections are closed.
func (c *Collector) Run(ctx context.Context) {
	defer utilnet.CloseIdleConnectionsFor(c.connections.Transport)
	var informers sync.WaitGroup
	defer informers.Wait()
	defer c.queue.ShutDown()
	synced := make([]cache.InformerSynced, 0, len(c.informers))
	for _, informer := range c.informers {
		informers.Go(func() { informer.RunWithContext(ctx) })
		synced = append(synced, informer.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return
	}
	workers.Run(ctx, c.queue, 1, func(ctx context.Context, uid types.UID) (again bool) {
		err := c.process(ctx, uid)
		if err == nil || ctx.Err() != nil {
			return false
		}
		klog.FromContext(ctx).V(2).Info("Could not clean up after an object, trying again", "uid", uid, "err", err)
		return true
	})
}

// item is an object and the resource that serves it.
type item struct {
	*metav1.PartialObjectMetadata
	resource schema.GroupVersionResource
}

func (c *Collector) find(index string, uid types.UID) []item {
	var out []item
	for resource, informer := range c.informers {
		objs, err := informer.GetIndexer().ByIndex(index, string(uid))
		if err != nil {
			continue // the index exists: New created it
		}
		for _, o := range objs {
			if m, ok := o.(*metav1.PartialObjectMetadata); ok {
				out = append(out, item{m, resource})
			}
		}
	}
	return out
}

func (c *Collector) process(ctx context.Context, uid types.UID) error {
	dependents := c.find(byOwner, uid)
	owners := c.find(byUID, uid)
	if len(owners) == 0 {
		var errs []error
		for _, d := range dependents {
			errs = append(errs, c.collect(ctx, d))
		}
		return errors.Join(errs...)
	}
	owner := owners[0]
	switch {
	case owner.DeletionTimestamp == nil:
		return nil
	case slices.Contains(owner.Finalizers, metav1.FinalizerOrphanDependents):
		return c.orphan(ctx, owner, dependents)
	case slices.Contains(owner.Finalizers, metav1.FinalizerDeleteDependents):
		return c.deleteFirst(ctx, owner, dependents)
	}
	return nil
}

// collect deletes an object if none of its owners exists anymore. It reads from the
// server, because the watches of owners and dependents are not synchronized.
func (c *Collector) collect(ctx context.Context, d item) error {
	for _, r := range d.OwnerReferences {
		gv, err := schema.ParseGroupVersion(r.APIVersion)
		if err != nil {
			return nil //nolint:nilerr // an owner of an unknown kind may exist
		}
		resource, ok := c.kinds[schema.GroupKind{Group: gv.Group, Kind: r.Kind}]
		if !ok {
			return nil
		}
		owner, err := c.client.Resource(resource).Namespace(d.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return err
		case owner.UID == r.UID:
			return nil
		}
	}
	return c.remove(ctx, d, metav1.DeletePropagationBackground)
}

func (c *Collector) remove(ctx context.Context, d item, how metav1.DeletionPropagation) error {
	err := c.client.Resource(d.resource).Namespace(d.Namespace).Delete(ctx, d.Name,
		metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(d.UID)), PropagationPolicy: &how})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// orphan removes the owner from its dependents' references, and then its finalizer.
func (c *Collector) orphan(ctx context.Context, owner item, dependents []item) error {
	for _, d := range dependents {
		patch := fmt.Sprintf(`{"metadata":{"uid":%q,"ownerReferences":[{"$patch":"delete","uid":%q}]}}`, d.UID, owner.UID)
		_, err := c.client.Resource(d.resource).Namespace(d.Namespace).Patch(ctx, d.Name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return c.letGo(ctx, owner, metav1.FinalizerOrphanDependents)
}

// deleteFirst deletes the dependents, and removes the owner's finalizer when the last one
// is gone.
func (c *Collector) deleteFirst(ctx context.Context, owner item, dependents []item) error {
	for _, d := range dependents {
		if d.DeletionTimestamp != nil {
			continue
		}
		if err := c.remove(ctx, d, metav1.DeletePropagationForeground); err != nil {
			return err
		}
	}
	if len(dependents) > 0 {
		return nil // their deletion enqueues the owner again
	}
	return c.letGo(ctx, owner, metav1.FinalizerDeleteDependents)
}

func (c *Collector) letGo(ctx context.Context, owner item, finalizer string) error {
	api := c.client.Resource(owner.resource).Namespace(owner.Namespace)
	now, err := api.Get(ctx, owner.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) || err == nil && now.UID != owner.UID {
		return nil
	}
	if err != nil {
		return err
	}
	at := slices.Index(now.Finalizers, finalizer)
	if at < 0 {
		return nil
	}
	patch := fmt.Sprintf(`[{"op":"test","path":"/metadata/resourceVersion","value":%q},{"op":"remove","path":"/metadata/finalizers/%d"}]`, now.ResourceVersion, at)
	_, err = api.Patch(ctx, owner.Name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

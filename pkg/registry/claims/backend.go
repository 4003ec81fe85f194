// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/utils/clock"

	"github.com/acnodal/epic/pkg/scrape"
)

// closeTimeout limits how long a shutdown waits for reserved numbers to be returned.
const closeTimeout = 2 * time.Second

// Backend is the part of the storage that all kinds share: the connection to etcd, the
// claims, and the numbers reserved for this server.
type Backend struct {
	// client reads and writes etcd for the claims themselves; kube is the same
	// connection as the etcd stores of the kinds use it.
	client    *clientv3.Client
	kube      *kubernetes.Client
	layout    layout
	allocator *allocator
	// parents and slots cache content of etcd. The transaction of each write verifies
	// what it used from them.
	parents *parentCache
	slots   *slotMemory
	// cooling is how long a released address is withheld from other namespaces. restored
	// is what the last restore of a snapshot left.
	cooling   time.Duration
	clock     clock.PassiveClock
	restored  atomic.Pointer[restored]
	compactor etcd3.Compactor
	stop      func()
	// poolUse is the use of pools as scrapes see it.
	poolUse *scrape.Value[[]PoolUse]

	mu    sync.RWMutex
	kinds map[string]*kind
}

// kind knows how to find and read the objects of one resource.
type kind struct {
	resource string
	rules    Rules
	newFunc  func() runtime.Object
	// prefix is the etcd prefix of the objects, with a trailing slash.
	prefix string
	decode func(ctx context.Context, key string, data []byte, rev int64) (runtime.Object, error)
}

func (k *kind) key(r Ref) string { return k.prefix + r.Namespace + "/" + r.Name }

// Option changes a Backend.
type Option func(*Backend)

// WithCooling sets how long a released address is withheld from other namespaces.
func WithCooling(period time.Duration) Option { return func(b *Backend) { b.cooling = period } }

// NewBackend connects to etcd and verifies that the data under the prefix has this
// server's schema. It waits for etcd until ctx ends.
func NewBackend(ctx context.Context, cfg storagebackend.Config, opts ...Option) (*Backend, error) {
	client, err := newEtcdClient(ctx, cfg.Transport)
	if err != nil {
		return nil, err
	}
	b := newBackend(client, cfg.Prefix)
	for _, o := range opts {
		o(b)
	}
	if err := b.claimSchema(ctx, cfg.Prefix); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	sweeps, stopSweeps := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stopSweeps
	if b.cooling > 0 {
		go b.runSweeps(sweeps)
	}
	if cfg.CompactionInterval > 0 {
		c := etcd3.StartCompactorPerEndpoint(client.Client, cfg.CompactionInterval)
		b.compactor = c
		b.stop = func() { stopSweeps(); c.Stop() }
	}
	poolMetrics.backend.Store(b)
	return b, nil
}

// newBackend returns a Backend whose writes through client are transactions with claims.
func newBackend(client *kubernetes.Client, prefix string) *Backend {
	l := newLayout(prefix)
	b := &Backend{
		client: client.Client, kube: client, layout: l, kinds: map[string]*kind{},
		clock: clock.RealClock{}, parents: newParentCache(parentsBytes), slots: newSlotMemory(),
	}
	b.allocator = newAllocator(b)
	b.poolUse = scrape.NewValue(b.PoolUse)
	client.Kubernetes = &txnClient{Interface: client.Kubernetes, b: b}
	return b
}

// claimSchema writes the schema key if the prefix is empty, and returns an error if the
// data has another schema.
func (b *Backend) claimSchema(ctx context.Context, prefix string) error {
	found, err := b.settleSchema(ctx)
	if err != nil {
		return err
	}
	if found == SchemaVersion {
		return b.loadRestored(ctx)
	}
	if found != "" {
		return errors.New(schemaMessage(found))
	}
	// Only the servers' own keys are considered: a shared etcd may hold others.
	folder := newLayout(prefix).root
	folder = folder[:len(folder)-len(".claims/")]
	resp, err := b.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(folder), "=", 0).WithPrefix()).
		Then(clientv3.OpPut(b.layout.schema(), SchemaVersion)).
		Commit()
	if err != nil {
		return fmt.Errorf("write the claim schema to etcd: %w", err)
	}
	if resp.Succeeded {
		return nil
	}
	// Another server may have been faster.
	if found, err = b.settleSchema(ctx); err != nil || found == SchemaVersion {
		return err
	}
	return errors.New(schemaMessage(found))
}

// settleSchema returns the schema of the data in etcd. If the data was restored, it first
// makes it usable.
func (b *Backend) settleSchema(ctx context.Context) (string, error) {
	found, err := b.schema(ctx)
	if err != nil || found != MarkRestored(SchemaVersion) {
		return found, err
	}
	if err := b.finishRestore(ctx, found); err != nil {
		return "", err
	}
	return b.schema(ctx)
}

func (b *Backend) schema(ctx context.Context) (string, error) {
	resp, err := b.client.Get(ctx, b.layout.schema())
	if err != nil {
		return "", fmt.Errorf("read the claim schema from etcd: %w", err)
	}
	if len(resp.Kvs) == 0 {
		return "", nil
	}
	return string(resp.Kvs[0].Value), nil
}

// Ready returns an error if the claims can't work. If etcd was restored while this server
// ran, Ready makes the data usable.
func (b *Backend) Ready(ctx context.Context) error {
	found, err := b.settleSchema(ctx)
	if err == nil && found != SchemaVersion {
		err = errors.New(schemaMessage(found))
	}
	return err
}

// KV returns a client for keys of etcd that are neither objects nor claims. It shares the
// Backend's connection.
func (b *Backend) KV() clientv3.KV { return b.client }

// Close returns reserved numbers and closes the connection. Do not write through the
// backend afterward.
func (b *Backend) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	b.stop()
	poolMetrics.backend.CompareAndSwap(b, nil)
	return errors.Join(b.allocator.Close(ctx), b.client.Close())
}

func (b *Backend) register(k *kind) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kinds[k.resource] = k
}

func (b *Backend) kind(resource string) (*kind, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	k := b.kinds[resource]
	if k == nil {
		return nil, fmt.Errorf("no storage is registered for %s", resource)
	}
	return k, nil
}

// read returns objects at one revision, nil for those that don't exist, and caches them.
func (b *Backend) read(ctx context.Context, refs []Ref) ([]runtime.Object, []revisions, error) {
	ops := make([]clientv3.Op, len(refs))
	kinds := make([]*kind, len(refs))
	for i, r := range refs {
		k, err := b.kind(r.Resource)
		if err != nil {
			return nil, nil, err
		}
		kinds[i], ops[i] = k, clientv3.OpGet(k.key(r))
	}
	resp, err := b.client.Txn(ctx).Then(ops...).Commit()
	if err != nil {
		return nil, nil, fmt.Errorf("read parents: %w", err)
	}
	objs, revs := make([]runtime.Object, len(refs)), make([]revisions, len(refs))
	for i := range refs {
		kvs := resp.Responses[i].GetResponseRange().Kvs
		if len(kvs) == 0 {
			continue
		}
		kv := kvs[0]
		if objs[i], err = kinds[i].decode(ctx, string(kv.Key), kv.Value, kv.ModRevision); err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", refs[i], err)
		}
		revs[i] = revisions{key: string(kv.Key), create: kv.CreateRevision, mod: kv.ModRevision}
		b.parents.add(refs[i], objs[i].DeepCopyObject(), revs[i], len(kv.Value))
	}
	return objs, revs, nil
}

// keys reads one key, or the first few of a range, without its objects' values.
func (b *Backend) keys(ctx context.Context, key, end string) ([]keyValue, error) {
	resp, err := b.client.KV.Do(ctx, diagnosticGet(key, end))
	if err != nil {
		return nil, fmt.Errorf("read what a write depends on: %w", err)
	}
	return keyValues(resp.Get().Kvs), nil
}

// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"

	clientv3 "go.etcd.io/etcd/client/v3"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"

	"github.com/acnodal/epic/pkg/registry/narrowwatch"
)

// podRules make each pod of the suites claim a tunnel ID and the hash of it. The
// ID is kept in generateName, where the suites look at nothing, while they
// rewrite annotations and give one UID to several pods.
type podRules struct{}

var _ Rules = podRules{}

func podID(pod *example.Pod) int32 {
	id, _ := strconv.ParseInt(pod.GenerateName, 10, 32)
	return int32(id)
}

func (podRules) Claims(obj runtime.Object) *Set {
	pod := obj.(*example.Pod)
	s := &Set{}
	s.AddID(TunnelIDs, podID(pod))
	s.AddUnique("pod", pod.GenerateName)
	return s
}

func (podRules) Plan(ctx context.Context, p *Plan, old, obj runtime.Object) error {
	pod := obj.(*example.Pod)
	if was, ok := old.(*example.Pod); ok {
		// Updates of the suites leave out what no API server lets go.
		mark(pod, was.UID, podID(was))
		return nil
	}
	ids, err := p.AssignIDs(ctx, TunnelIDs, 1)
	if err == nil {
		mark(pod, uidFor(pod), ids[0])
	}
	return err
}

// uidFor is the UID of a pod to which its suite gave none. That an object exists
// is known by its UID.
func uidFor(pod *example.Pod) types.UID {
	return types.UID("uid-" + pod.Namespace + "-" + pod.Name)
}

func mark(pod *example.Pod, uid types.UID, id int32) {
	if pod.UID == "" {
		pod.UID = uid
	}
	pod.GenerateName = fmt.Sprint(id)
}

// markCodec encodes pods as they are stored, for a suite that knows how large
// that is.
type markCodec struct{ runtime.Codec }

func (c markCodec) Encode(obj runtime.Object, w io.Writer) error {
	pod := obj.DeepCopyObject().(*example.Pod)
	mark(pod, uidFor(pod), 1)
	return c.Codec.Encode(pod, w)
}

func (podRules) PlanDelete(context.Context, *Plan, runtime.Object) error { return nil }

func (podRules) Taken(_ runtime.Object, c Claim, holder Owner) error {
	return fmt.Errorf("%s is held by %s", c.Kind(), holder)
}

func (podRules) HasChildren(runtime.Object, Owner) error { return errors.New("it has children") }

// nameRules leave pods as they are. They serve suites that compare all of a pod,
// and never update it.
type nameRules struct{ podRules }

func (nameRules) Claims(obj runtime.Object) *Set {
	pod := obj.(*example.Pod)
	s := &Set{}
	s.AddUnique("pod", pod.Namespace, pod.Name)
	return s
}

func (nameRules) Plan(context.Context, *Plan, runtime.Object, runtime.Object) error { return nil }

// suite is one storage under test with what the suites want to do behind its
// back.
type suite struct {
	storage.Interface
	raw         storage.Interface
	backend     *Backend
	client      *kubernetes.Client
	kv          *storagetesting.KVRecorder
	lists       *storagetesting.KubernetesRecorder
	transformer *changingTransformer
	cached      bool
	prefix      string
}

// changingTransformer can be exchanged while the storage is in use.
type changingTransformer struct {
	mu      sync.RWMutex
	current value.Transformer
}

func (c *changingTransformer) get() value.Transformer {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.current
}

func (c *changingTransformer) swap(t value.Transformer) (restore func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.current
	c.current = t
	return func() { c.swap(old) }
}

func (c *changingTransformer) TransformFromStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, bool, error) {
	return c.get().TransformFromStorage(ctx, data, dataCtx)
}

func (c *changingTransformer) TransformToStorage(ctx context.Context, data []byte, dataCtx value.Context) ([]byte, error) {
	return c.get().TransformToStorage(ctx, data, dataCtx)
}

func newPrefixTransformer() *storagetesting.PrefixTransformer {
	return storagetesting.NewPrefixTransformer([]byte("test!"), false)
}

// UpdatePrefixTransformer implements storagetesting.InterfaceWithPrefixTransformer.
func (s *suite) UpdatePrefixTransformer(modify storagetesting.PrefixTransformerModifier) func() {
	// Not a copy of the present one, which counts its reads in the meantime.
	return s.transformer.swap(modify(newPrefixTransformer()))
}

// UpdateTransformer implements storagetesting.InterfaceWithTransformerOverride.
func (s *suite) UpdateTransformer(modify storagetesting.TransformerModifier) func() {
	return s.transformer.swap(modify(s.transformer.get()))
}

// Create implements storage.Interface. Some suites expect that what was created
// is in the cache at once.
func (s *eager) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	if err := s.suite.Create(ctx, key, obj, out, ttl); err != nil || !s.cached {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, wait.ForeverTestTimeout, true, func(ctx context.Context) (bool, error) {
		seen := newPod()
		err := s.Get(ctx, key, storage.GetOptions{ResourceVersion: "0"}, seen)
		if storage.IsNotFound(err) {
			return false, nil
		}
		return apiequality.Semantic.DeepEqual(seen, out), err
	})
}

type eager struct{ *suite }

// known gives the objects that a suite passes as the present ones the marks that
// they have in etcd.
type known struct{ *suite }

// GuaranteedUpdate implements storage.Interface.
func (s *known) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object,
) error {
	stored := &example.Pod{}
	if err := s.Get(ctx, key, storage.GetOptions{}, stored); err != nil {
		return err
	}
	pod := cached.DeepCopyObject().(*example.Pod)
	mark(pod, stored.UID, podID(stored))
	return s.suite.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, tryUpdate, pod)
}

// lasting drops the lifetimes that a suite gives to objects in passing.
type lasting struct{ *suite }

// GuaranteedUpdate implements storage.Interface.
func (s *lasting) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object,
) error {
	return s.suite.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions,
		func(in runtime.Object, res storage.ResponseMeta) (runtime.Object, *uint64, error) {
			out, _, err := tryUpdate(in, res)
			return out, nil, err
		}, cached)
}

// uncompared refuses the lists by which the consistency checker compares etcd
// with the cache.
type uncompared struct{ storage.Interface }

// GetList implements storage.Interface.
func (s uncompared) GetList(ctx context.Context, key string, opts storage.ListOptions, out runtime.Object) error {
	if opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact {
		return errors.New("not to be compared")
	}
	return s.Interface.GetList(ctx, key, opts, out)
}

// impatientClock lets the watch cache look for compactions often.
type impatientClock struct{ clock.RealClock }

func (c impatientClock) NewTimer(d time.Duration) clock.Timer {
	return &impatientTimer{c.RealClock.NewTimer(c.shorten(d)), c}
}

func (impatientClock) shorten(d time.Duration) time.Duration {
	if d == 15*time.Second {
		return 10 * time.Millisecond
	}
	return d
}

type impatientTimer struct {
	clock.Timer
	c impatientClock
}

func (t *impatientTimer) Reset(d time.Duration) bool { return t.Timer.Reset(t.c.shorten(d)) }

func (s *suite) compact(ctx context.Context, t *testing.T, resourceVersion string) {
	rv, err := storage.APIObjectVersioner{}.ParseResourceVersion(resourceVersion)
	if err != nil {
		t.Fatal(err)
	}
	rev := int64(rv)
	current, _, _, err := etcd3.Compact(ctx, s.client.Client, 0, rev)
	if err != nil {
		_, _, _, err = etcd3.Compact(ctx, s.client.Client, current, rev)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !utilfeature.DefaultFeatureGate.Enabled(features.ListFromCacheSnapshot) {
		return
	}
	err = wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, wait.ForeverTestTimeout, true, func(context.Context) (bool, error) {
		return s.raw.CompactRevision() == rev, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.cached {
		// Until the cache has looked as well.
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *suite) increaseRV(ctx context.Context, t *testing.T) int64 {
	resp, err := s.client.KV.Put(ctx, "increaseRV", "ok")
	if err != nil {
		t.Fatal(err)
	}
	return resp.Header.Revision
}

// checkStored looks at an object as it is in etcd.
func (s *suite) checkStored(ctx context.Context, t *testing.T, key string) {
	resp, err := s.client.KV.Get(ctx, s.prefix+key)
	if err != nil || len(resp.Kvs) != 1 {
		t.Fatalf("%s: got %v, %v", key, resp.Kvs, err)
	}
	plain, _, err := s.transformer.TransformFromStorage(ctx, resp.Kvs[0].Value, value.DefaultContext(s.prefix+key))
	if err != nil {
		t.Fatal(err)
	}
	obj, err := runtime.Decode(codec, plain)
	if err != nil {
		t.Fatal(err)
	}
	if pod := obj.(*example.Pod); pod.ResourceVersion != "" {
		t.Errorf("stored with resource version %q", pod.ResourceVersion)
	}
}

// checkCalls counts the reads of one list: pages double in size.
func (s *suite) checkCalls(t *testing.T, pageSize, objects uint64) {
	if s.cached {
		return
	}
	if reads := s.transformer.get().(*storagetesting.PrefixTransformer).GetReadsAndReset(); reads != objects {
		t.Errorf("%d objects were read, want %d", reads, objects)
	}
	calls := uint64(1)
	if pageSize != 0 {
		limit := pageSize
		for sum := uint64(1); sum < objects; calls++ {
			limit = min(2*limit, 10000)
			sum += limit
		}
	}
	if reads := s.kv.GetReadsAndReset() + s.kv.GetStreamReadsAndReset(); reads != calls {
		t.Errorf("%d reads, want %d", reads, calls)
	}
}

func (s *suite) keys(ctx context.Context) ([]string, error) {
	resp, err := s.client.KV.Get(ctx, s.prefix+"/pods/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	var out []string
	for _, kv := range resp.Kvs {
		out = append(out, string(kv.Key))
	}
	return out, nil
}

func podAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	pod, ok := obj.(*example.Pod)
	if !ok {
		return nil, nil, errors.New("not a pod")
	}
	return pod.Labels, fields.Set{
		"metadata.name":      pod.Name,
		"metadata.namespace": pod.Namespace,
		"spec.nodeName":      pod.Spec.NodeName,
		"spec.restartPolicy": string(pod.Spec.RestartPolicy),
		"status.phase":       string(pod.Status.Phase),
	}, nil
}

func newSuite(t *testing.T, c suiteCase, cached bool) *suite {
	t.Helper()
	endpoint := etcdEndpoint
	if c.alone || c.slow {
		endpoint = ownEtcd(t, func(cfg *embed.Config) {
			if c.notify {
				cfg.WatchProgressNotifyInterval = time.Second
			}
		})
	}
	s := &suite{client: newKubeClient(t, endpoint), cached: cached, prefix: newPrefix()}
	if c.prefix != nil {
		s.prefix = *c.prefix
	}
	var rules Rules = podRules{}
	if c.rules != nil {
		rules = c.rules
	}
	s.lists = storagetesting.NewKubernetesRecorder(s.client.Kubernetes)
	s.kv = storagetesting.NewKVRecorder(s.client.KV, s.lists)
	s.client.KV, s.client.Kubernetes = s.kv, s.lists
	s.backend = newBackend(s.client, s.prefix)
	compactor := etcd3.NewCompactor(s.client.Client, 0, clock.RealClock{}, nil)
	t.Cleanup(compactor.Stop)
	s.backend.compactor = compactor
	s.transformer = &changingTransformer{current: newPrefixTransformer()}
	cfg := storagebackend.Config{Prefix: s.prefix, Codec: codec, Transformer: s.transformer, LeaseManagerConfig: etcd3.NewDefaultLeaseManagerConfig()}
	raw, err := s.backend.rawStorage(cfg.ForResource(schema.GroupResource{Resource: "pods"}), "/pods/", newPod, newPodList, rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.raw, s.Interface = raw, raw
	if cached {
		s.Interface = newCache(t, c, raw)
	}
	// Some suites watch from revision 1, so this comes after the cache.
	if err := s.backend.claimSchema(t.Context(), s.prefix); err != nil {
		t.Fatal(err)
	}
	s.kv.GetReadsAndReset()
	return s
}

func newCache(t *testing.T, c suiteCase, raw storage.Interface) storage.Interface {
	t.Helper()
	keyFunc := func(obj runtime.Object) (string, error) { return storage.NamespaceKeyFunc("/pods/", obj) }
	if c.cluster {
		keyFunc = func(obj runtime.Object) (string, error) { return storage.NoNamespaceKeyFunc("/pods/", obj) }
	}
	cc := cacher.Config{
		Storage: raw, Versioner: storage.APIObjectVersioner{}, GroupResource: schema.GroupResource{Resource: "pods"},
		EventsHistoryWindow: cacher.DefaultEventFreshDuration, ResourcePrefix: "/pods/", KeyFunc: keyFunc,
		GetAttrsFunc: podAttrs, NewFunc: newPod, NewListFunc: newPodList, Codec: codec, Clock: impatientClock{},
	}
	if c.indexed {
		node := func(obj runtime.Object) string { return obj.(*example.Pod).Spec.NodeName }
		cc.IndexerFuncs = storage.IndexerFuncs{"spec.nodeName": node}
		cc.Indexers = &cache.Indexers{
			"f:spec.nodeName":      func(obj any) ([]string, error) { return []string{node(obj.(runtime.Object))}, nil },
			"f:metadata.namespace": func(obj any) ([]string, error) { return []string{obj.(*example.Pod).Namespace}, nil },
		}
	}
	watchCache, err := cacher.NewCacherFromConfig(cc)
	if err != nil {
		t.Fatal(err)
	}
	compared := raw
	if c.misnamed {
		compared = uncompared{raw}
	}
	delegator := cacher.NewCacheDelegator(watchCache, compared)
	t.Cleanup(func() {
		delegator.Stop()
		watchCache.Stop()
	})
	if err := watchCache.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return narrowwatch.New(delegator, "/pods/", newPod, newPodList)
}

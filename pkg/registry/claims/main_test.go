// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc/grpclog"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher/consistency"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

var (
	scheme = runtime.NewScheme()
	codecs = serializer.NewCodecFactory(scheme)
	codec  = codecs.LegacyCodec(examplev1.SchemeGroupVersion)

	// etcdEndpoint is the etcd that all tests share which do not compact it.
	etcdEndpoint string
	prefixes     atomic.Int64
)

func init() {
	metav1.AddToGroupVersion(scheme, metav1.SchemeGroupVersion)
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, os.Stderr))
}

func TestMain(m *testing.M) {
	// What KUBE_WATCHCACHE_CONSISTENCY_CHECKER=true sets: a watch cache that
	// differs from etcd panics. The check comes often enough to happen here.
	consistency.PanicOnCacheInconsistency = true
	consistency.CheckPeriod = 100 * time.Millisecond
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "claims")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	etcd, endpoint, err := startEtcd(dir, nil)
	if err != nil {
		return fail(err)
	}
	defer etcd.Close()
	etcdEndpoint = endpoint
	return m.Run()
}

func fail(err error) int {
	_, _ = fmt.Fprintln(os.Stderr, err)
	return 1
}

// startEtcd runs an etcd with default limits on a unix socket. Nothing is kept
// after a test, so it need not wait for the disk.
func startEtcd(dir string, change func(*embed.Config)) (*embed.Etcd, string, error) {
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(dir, "data")
	cfg.UnsafeNoFsync = true
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop().WithOptions(zap.IncreaseLevel(zapcore.ErrorLevel)))
	client := url.URL{Scheme: "unix", Path: filepath.Join(dir, "client.sock")}
	peer := url.URL{Scheme: "unix", Path: filepath.Join(dir, "peer.sock")}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	if change != nil {
		change(cfg)
	}
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, "", err
	}
	select {
	case <-e.Server.ReadyNotify():
		return e, client.String(), nil
	case <-time.After(time.Minute):
		e.Close()
		return nil, "", errors.New("etcd does not get ready")
	}
}

// ownEtcd runs an etcd for one test that changes what others would notice.
func ownEtcd(t testing.TB, change func(*embed.Config)) string {
	t.Helper()
	endpoint, _ := stoppableEtcd(t, change)
	return endpoint
}

// stoppableEtcd runs an etcd for one test, which may stop it before it ends.
func stoppableEtcd(t testing.TB, change func(*embed.Config)) (endpoint string, stop func()) {
	t.Helper()
	// A socket's path has to be short.
	dir, err := os.MkdirTemp("", "etcd") //nolint:usetesting // t.TempDir is long
	if err != nil {
		t.Fatal(err)
	}
	e, endpoint, err := startEtcd(dir, change)
	if err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(e.Close)
	t.Cleanup(func() {
		stop()
		_ = os.RemoveAll(dir)
	})
	return endpoint, stop
}

// newPrefix is a part of the shared etcd for one test alone.
func newPrefix() string { return fmt.Sprintf("/test%d", prefixes.Add(1)) }

// newTestBackend is one server on a prefix of the shared etcd.
func newTestBackend(t testing.TB, prefix string) *Backend {
	t.Helper()
	b, err := NewBackend(t.Context(), storagebackend.Config{
		Prefix:    prefix,
		Transport: storagebackend.TransportConfig{ServerList: []string{etcdEndpoint}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// rawClient is a connection to etcd past everything under test.
func rawClient(t testing.TB, endpoint string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newKubeClient(t testing.TB, endpoint string) *kubernetes.Client {
	t.Helper()
	c, err := kubernetes.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newPod() runtime.Object     { return &example.Pod{} }
func newPodList() runtime.Object { return &example.PodList{} }

// storeFor is the raw storage of pods under the given rules.
func storeFor(t testing.TB, b *Backend, resource string, rules Rules) storage.Interface {
	t.Helper()
	cfg := storagebackend.Config{
		Prefix:             strings.TrimSuffix(b.layout.root, "/.claims/"),
		Codec:              codec,
		LeaseManagerConfig: etcd3.NewDefaultLeaseManagerConfig(),
	}
	s, err := b.rawStorage(cfg.ForResource(schema.GroupResource{Resource: resource}), "/"+resource+"/", newPod, newPodList, rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// funcRules are rules of functions, each of which may be left out.
type funcRules struct {
	claims      func(*example.Pod) *Set
	plan        func(ctx context.Context, p *Plan, old, obj *example.Pod) error
	planDelete  func(ctx context.Context, p *Plan, obj *example.Pod) error
	taken       func(obj *example.Pod, c Claim, holder Owner) error
	hasChildren func(obj *example.Pod, child Owner) error
}

var _ Rules = &funcRules{}

func (r *funcRules) Claims(obj runtime.Object) *Set {
	if r.claims == nil {
		return &Set{}
	}
	return r.claims(obj.(*example.Pod))
}

func (r *funcRules) Plan(ctx context.Context, p *Plan, old, obj runtime.Object) error {
	if r.plan == nil {
		return nil
	}
	o, _ := old.(*example.Pod)
	return r.plan(ctx, p, o, obj.(*example.Pod))
}

func (r *funcRules) PlanDelete(ctx context.Context, p *Plan, obj runtime.Object) error {
	if r.planDelete == nil {
		return nil
	}
	return r.planDelete(ctx, p, obj.(*example.Pod))
}

func (r *funcRules) Taken(obj runtime.Object, c Claim, holder Owner) error {
	if r.taken == nil {
		return fmt.Errorf("%s is taken by %s", c.Kind(), holder)
	}
	return r.taken(obj.(*example.Pod), c, holder)
}

func (r *funcRules) HasChildren(obj runtime.Object, child Owner) error {
	if r.hasChildren == nil {
		return nil
	}
	return r.hasChildren(obj.(*example.Pod), child)
}

// faultyKV lets tests fail or delay what a server sends to etcd.
type faultyKV struct {
	clientv3.KV
	mu sync.Mutex
	// after, if it is set, gets the result of every transaction and returns
	// what the server sees of it.
	after func(*clientv3.TxnResponse, error) (*clientv3.TxnResponse, error)
	// before, if it is set, runs before every transaction.
	before func()
}

func (f *faultyKV) set(before func(), after func(*clientv3.TxnResponse, error) (*clientv3.TxnResponse, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

// breakEtcd puts a faultyKV under a server.
func breakEtcd(b *Backend) *faultyKV {
	f := &faultyKV{KV: b.client.KV}
	b.client.KV = f
	return f
}

// Txn implements clientv3.KV.
func (f *faultyKV) Txn(ctx context.Context) clientv3.Txn {
	return &faultyTxn{Txn: f.KV.Txn(ctx), f: f}
}

type faultyTxn struct {
	clientv3.Txn
	f *faultyKV
}

func (t *faultyTxn) If(cs ...clientv3.Cmp) clientv3.Txn {
	t.Txn = t.Txn.If(cs...)
	return t
}

func (t *faultyTxn) Then(ops ...clientv3.Op) clientv3.Txn {
	t.Txn = t.Txn.Then(ops...)
	return t
}

func (t *faultyTxn) Else(ops ...clientv3.Op) clientv3.Txn {
	t.Txn = t.Txn.Else(ops...)
	return t
}

func (t *faultyTxn) Commit() (*clientv3.TxnResponse, error) {
	t.f.mu.Lock()
	before, after := t.f.before, t.f.after
	t.f.mu.Unlock()
	if before != nil {
		before()
	}
	resp, err := t.Txn.Commit()
	if after != nil {
		return after(resp, err)
	}
	return resp, err
}

// dump lists the keys of a prefix.
func dump(t testing.TB, b *Backend) map[string]string {
	t.Helper()
	resp, err := b.client.Get(t.Context(), strings.TrimSuffix(b.layout.root, ".claims/"), clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, kv := range resp.Kvs {
		out[string(kv.Key)] = string(kv.Value)
	}
	return out
}

// clean fails the test if an audit finds anything.
func clean(t testing.TB, b *Backend) {
	t.Helper()
	r, err := b.Audit(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Errorf("audit: %s %s %s: %s", p.Type, p.Claim, p.Owner, p.Message)
	}
}

// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

func TestLifeOfAnObject(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	rules := &idRules{space: TunnelIDs}
	s := storeFor(t, b, "pods", rules)
	before := dump(t, b)
	p := mustCreate(t, s, "pods", pod("a", wantAnnotation, "3"))
	if got := ids(p); !slices.Equal(got, []int32{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	clean(t, b)
	p = mustAnnotate(t, s, "pods", "a", wantAnnotation, "2")
	if got := ids(p); !slices.Equal(got, []int32{2, 3}) {
		t.Errorf("got %v", got)
	}
	p = mustAnnotate(t, s, "pods", "a", wantAnnotation, "4")
	if got := ids(p); !slices.Equal(got, []int32{2, 3, 4, 5}) {
		t.Errorf("got %v", got)
	}
	clean(t, b)
	if last, err := b.Last(t.Context(), TunnelIDs, GroupIDs); err != nil || !slices.Equal(last, []int32{5, 0}) {
		t.Errorf("last is %v, %v", last, err)
	}
	// What changes nothing writes nothing.
	same := mustAnnotate(t, s, "pods", "a", wantAnnotation, "4")
	if same.ResourceVersion != p.ResourceVersion {
		t.Error("an update without a change was written")
	}
	if err := remove(t.Context(), s, "pods", "a"); err != nil {
		t.Fatal(err)
	}
	clean(t, b)
	for k := range dump(t, b) {
		if _, ok := before[k]; !ok && !strings.HasSuffix(k, "/cursor/tunnel") && !strings.HasSuffix(k, "/last/tunnel") {
			t.Errorf("%s is left behind", k)
		}
	}
}

func TestSchema(t *testing.T) {
	prefix := newPrefix()
	b := newTestBackend(t, prefix)
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	mustCreate(t, s, "pods", pod("a", wantAnnotation, "1"))
	raw := rawClient(t, etcdEndpoint)
	open := func() error {
		other, err := NewBackend(t.Context(), storagebackend.Config{Prefix: prefix, Transport: storagebackend.TransportConfig{ServerList: []string{etcdEndpoint}}})
		if err == nil {
			return other.Close()
		}
		return err
	}
	if err := errors.Join(b.Ready(t.Context()), open()); err != nil {
		t.Fatal(err)
	}
	for found, want := range map[string]string{"2": `etcd contains claim schema "2"`, "": "the claim schema key is missing"} {
		if _, err := raw.Delete(t.Context(), b.layout.schema()); err != nil {
			t.Fatal(err)
		}
		if found != "" {
			if _, err := raw.Put(t.Context(), b.layout.schema(), found); err != nil {
				t.Fatal(err)
			}
		}
		before := dump(t, b)
		_, creation := create(t.Context(), s, "pods", pod("b", wantAnnotation, "1"))
		_, update := annotate(t.Context(), s, "pods", "a", "x", "y"+found)
		deletion := remove(t.Context(), s, "pods", "a")
		for what, err := range map[string]error{"create": creation, "update": update, "delete": deletion} {
			if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s beside schema %q: %v", what, found, err)
			}
		}
		for what, err := range map[string]error{"ready": b.Ready(t.Context()), "start": open()} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s beside schema %q: %v", what, found, err)
			}
		}
		if after := dump(t, b); len(after) != len(before) {
			t.Errorf("left behind: %v", after)
		}
	}
}

func TestEmptyPrefixIsClaimedOnce(t *testing.T) {
	prefix := newPrefix()
	raw := rawClient(t, etcdEndpoint)
	// Another's data next to the prefix does not matter.
	if _, err := raw.Put(t.Context(), prefix+"other/key", "x"); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { newTestBackend(t, prefix) })
	}
	wg.Wait()
	resp, err := raw.Get(t.Context(), prefix+"/", clientv3.WithPrefix())
	if err != nil || len(resp.Kvs) != 1 || resp.Kvs[0].Version != 1 || string(resp.Kvs[0].Value) != SchemaVersion {
		t.Errorf("got %v, %v", resp.Kvs, err)
	}
}

func TestWriteWithoutPlanIsRefused(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	inner := s.(*store).Interface
	before := dump(t, b)
	if err := inner.Create(t.Context(), key("pods", "a"), pod("a"), &example.Pod{}, 0); !errors.Is(err, errNoPlan) {
		t.Errorf("got %v", err)
	}
	// A plan serves one write.
	w := &pending{}
	if err := s.(*store).prepare(t.Context(), w, nil, &Set{}, pod("a"), false); err != nil {
		t.Fatal(err)
	}
	ctx := withPending(t.Context(), w)
	if err := inner.Create(ctx, key("pods", "a"), pod("a"), &example.Pod{}, 0); err != nil {
		t.Fatal(err)
	}
	if err := inner.Create(ctx, key("pods", "b"), pod("b"), &example.Pod{}, 0); !errors.Is(err, errNoPlan) {
		t.Errorf("got %v", err)
	}
	if err := inner.Delete(t.Context(), key("pods", "a"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); !errors.Is(err, errNoPlan) {
		t.Errorf("got %v", err)
	}
	if after := dump(t, b); len(after) != len(before)+1 {
		t.Errorf("left behind: %v", after)
	}
}

func TestNothingExpires(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	if err := s.Create(t.Context(), key("pods", "a"), pod("a"), &example.Pod{}, 1); err == nil || !strings.Contains(err.Error(), "expire") {
		t.Errorf("got %v", err)
	}
	mustCreate(t, s, "pods", pod("a"))
	ttl := uint64(1)
	err := s.GuaranteedUpdate(t.Context(), key("pods", "a"), &example.Pod{}, false, nil, func(in runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
		return in, &ttl, nil
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "expire") {
		t.Errorf("got %v", err)
	}
	if _, err := b.kube.Kubernetes.OptimisticPut(t.Context(), "/x", nil, 0, kubernetes.PutOptions{LeaseID: 1}); err == nil || !strings.Contains(err.Error(), "expire") {
		t.Errorf("got %v", err)
	}
}

// TestUnknownResult: etcd commits, and the server hears an error. The numbers
// are used, so they must not be handed out again.
func TestUnknownResult(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	mustCreate(t, s, "pods", pod("first", wantAnnotation, "1"))
	f := breakEtcd(b)
	f.set(nil, func(resp *clientv3.TxnResponse, err error) (*clientv3.TxnResponse, error) {
		return nil, context.DeadlineExceeded
	})
	if _, err := create(t.Context(), s, "pods", pod("a", wantAnnotation, "2")); !apierrors.IsTimeout(err) {
		t.Fatalf("got %v", err)
	}
	if _, err := annotate(t.Context(), s, "pods", "first", wantAnnotation, "2"); !apierrors.IsTimeout(err) {
		t.Fatalf("got %v", err)
	}
	f.set(nil, nil)
	n := retriesSince(t)
	if got := ids(mustCreate(t, s, "pods", pod("b", wantAnnotation, "1"))); !slices.Equal(got, []int32{5}) {
		t.Errorf("got %v, want 5", got)
	}
	if n() != 0 {
		t.Errorf("planned %v times too often: a number in use was handed out", n())
	}
	clean(t, b)
}

// TestUnreadableObjects can't be deleted through the API: nobody knows what
// they claim.
func TestUnreadableObjects(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &idRules{space: TunnelIDs})
	mustCreate(t, s, "pods", pod("a"))
	err := s.Delete(t.Context(), key("pods", "a"), &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{ExpectTransformOrDecodeError: true})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("got %v", err)
	}
}

// TestSilentRules: rules that have no error for what they refuse must not let
// the etcd store take the write for landed.
func TestSilentRules(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := storeFor(t, b, "pods", &funcRules{
		claims: func(*example.Pod) *Set { s := &Set{}; s.AddUnique("x", "y"); return s },
		taken:  func(*example.Pod, Claim, Owner) error { return nil },
	})
	mustCreate(t, s, "pods", pod("a"))
	if _, err := create(t.Context(), s, "pods", pod("b")); err == nil || storage.IsExist(err) {
		t.Errorf("got %v", err)
	}
	hold(t, b, Claim{kind: childKind(Ref{"pods", "ns", "a"}), name: "uid"})
	if err := remove(t.Context(), s, "pods", "a"); err == nil || storage.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
	if err := b.PreviewDelete(t.Context(), "pods", pod("a")); err == nil {
		t.Error("the dry run says that it can be deleted")
	}
}

// SPDX-License-Identifier: Apache-2.0

package kind_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/warning"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/registry/account"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/kind/kindtest"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

func system() *epic.EPIC {
	return &epic.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.ConfigName}}
}

// tunnels are those of some client nodes, without IDs.
func tunnels(nodes ...string) map[string]epic.TunnelEndpoint {
	out := map[string]epic.TunnelEndpoint{}
	for _, node := range nodes {
		pair := epic.GUETunnelEndpoint{EPICAddress: "192.168.1.40"}
		out[node] = epic.TunnelEndpoint{EPICEndpoints: map[string]epic.GUETunnelEndpoint{pair.EPICAddress: pair}}
	}
	return out
}

// withTunnels adds tunnels from n client nodes to a load balancer, and returns the
// highest ID that they got.
func withTunnels(t *testing.T, w *rt.World, lb *epic.LoadBalancer, n int) int32 {
	t.Helper()
	var nodes []string
	for i := range n {
		nodes = append(nodes, fmt.Sprint("10.9.0.", i+1))
	}
	lb.Status.GUETunnelEndpoints = tunnels(nodes...)
	out, err := rt.UpdateStatus(w, lb)
	if err != nil {
		t.Fatal(err)
	}
	var highest int32
	for _, e := range out.Status.GUETunnelEndpoints {
		for _, pair := range e.EPICEndpoints {
			highest = max(highest, pair.TunnelID)
		}
	}
	*lb = *out
	return highest
}

// version is an object without its version, by which it is known.
func version(t *testing.T, obj runtime.Object) (string, rt.Object) {
	t.Helper()
	o, ok := obj.DeepCopyObject().(rt.Object)
	if !ok {
		t.Fatalf("got %T: %+v", obj, obj)
	}
	return o.GetResourceVersion(), o
}

// Each version of an object has one content, however many watch it, and a get shows
// the last IDs exactly.
func TestOneVersionHasOneContent(t *testing.T) {
	for watchers := 1; watchers <= 5; watchers++ {
		t.Run(strconv.Itoa(watchers), func(t *testing.T) {
			w := rt.New(t)
			rt.Standard(w)
			tenant := rt.Account("one")
			for _, watched := range []rt.Object{system(), tenant} {
				t.Run(w.Resource(watched), func(t *testing.T) {
					seen := map[string]rt.Object{}
					see := func(obj runtime.Object) string {
						t.Helper()
						rv, o := version(t, obj)
						if before, ok := seen[rv]; ok && !apiequality.Semantic.DeepEqual(before, o) {
							t.Errorf("version %s is\n%+v\nand\n%+v", rv, before, o)
						}
						seen[rv] = o
						return rv
					}
					// The watch cache knows nothing that was written before it was ready.
					if err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
						return w.REST(watched).Storage.Storage.ReadinessCheck() == nil, nil
					}); err != nil {
						t.Fatal(err)
					}
					first, err := rt.Get(w, watched)
					if err != nil {
						t.Fatal(err)
					}
					first.SetAnnotations(map[string]string{"a": "first"})
					first = rt.MustUpdate(w, first)
					from := see(first)
					var watches []watch.Interface
					for range watchers {
						in, err := w.REST(watched).Watch(rt.Request(watched.GetNamespace()), &metainternalversion.ListOptions{ResourceVersion: from})
						if err != nil {
							t.Fatal(err)
						}
						defer in.Stop()
						watches = append(watches, in)
					}
					last := from
					for n := range 4 {
						lb := rt.MustCreate(w, rt.LoadBalancer("one", fmt.Sprint(w.Resource(watched), n), "offered"))
						tunnel := withTunnels(t, w, lb, n+1)
						if n == 2 {
							// A write of something else stores them, too.
							other, err := rt.Get(w, watched)
							if err != nil {
								t.Fatal(err)
							}
							see(other)
							other.SetAnnotations(map[string]string{"a": fmt.Sprint(n)})
							see(rt.MustUpdate(w, other))
						}
						got, err := rt.Get(w, watched)
						if err != nil {
							t.Fatal(err)
						}
						switch o := got.(type) {
						case *epic.EPIC:
							if o.Status.CurrentTunnelID != tunnel || o.Status.CurrentGroupID != 2 {
								t.Errorf("current-tunnel-id %d, current-group-id %d; the last tunnel ID is %d", o.Status.CurrentTunnelID, o.Status.CurrentGroupID, tunnel)
							}
						case *epic.Account:
							if o.Status.CurrentServiceID != lb.Spec.ServiceID {
								t.Errorf("current-service-id %d, the last is %d", o.Status.CurrentServiceID, lb.Spec.ServiceID)
							}
						}
						if got.GetGeneration() != first.GetGeneration() || !apiequality.Semantic.DeepEqual(got.GetManagedFields(), first.GetManagedFields()) {
							t.Errorf("generation %d, managed fields %v", got.GetGeneration(), got.GetManagedFields())
						}
						last = see(got)
						if again, err := rt.Get(w, watched); err != nil || again.GetResourceVersion() != last {
							t.Errorf("a read of what is current wrote version %s after %s, %v", again.GetResourceVersion(), last, err)
						}
						for _, accepted := range []string{from, last} {
							cached, err := w.REST(watched).Get(rt.Request(watched.GetNamespace()), watched.GetName(), &metav1.GetOptions{ResourceVersion: accepted})
							if err != nil {
								t.Fatal(err)
							}
							see(cached)
						}
					}
					rounds := map[string]int{}
					for _, in := range watches {
						for rv := ""; rv != last; {
							event, ok := <-in.ResultChan()
							if !ok {
								t.Fatal("a watch ended")
							}
							obj := event.Object
							if c, ok := obj.(runtime.CacheableObject); ok {
								obj = c.GetObject()
							}
							rv = see(obj)
							rounds[rv]++
						}
					}
					for rv, n := range rounds {
						if n != watchers {
							t.Errorf("%d of %d watchers saw version %s", n, watchers, rv)
						}
					}
				})
			}
		})
	}
}

// A list shows them, too, and is one of the state at its version.
func TestListShowsLastIDs(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	want := map[string]int32{"one": 0, "two": 0}
	for n := range 3 {
		for name := range want {
			want[name] = rt.MustCreate(w, rt.LoadBalancer(name, fmt.Sprint("lb", n), "offered")).Spec.ServiceID
		}
		list, err := w.REST(rt.Account("one")).List(rt.Request(""), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int32{}
		at, err := strconv.Atoi(list.(*epic.AccountList).ResourceVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list.(*epic.AccountList).Items {
			got[a.Name] = a.Status.CurrentServiceID
			if rv, err := strconv.Atoi(a.ResourceVersion); err != nil || rv > at {
				t.Errorf("version %s in a list of version %d, %v", a.ResourceVersion, at, err)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("listed %v, want %v", got, want)
		}
	}
}

// What clients write of them is ignored, dry runs assign and store nothing, and
// nobody owns the fields.
func TestLastIDsAreTheServers(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	id := rt.MustCreate(w, rt.LoadBalancer("one", "lb", "offered")).Spec.ServiceID
	stale, err := rt.Get(w, rt.Account("one"))
	if err != nil {
		t.Fatal(err)
	}
	rt.MustCreate(w, rt.LoadBalancer("one", "lb2", "offered"))
	dry := stale.DeepCopy()
	dry.Annotations = map[string]string{"a": "b"}
	for _, update := range []func(*rt.World, *epic.Account, ...string) (*epic.Account, error){rt.Update[*epic.Account], rt.UpdateStatus[*epic.Account]} {
		out, err := update(w, dry, metav1.DryRunAll)
		if err != nil || out.Status.CurrentServiceID != id {
			t.Errorf("a dry run shows %d, %v", out.Status.CurrentServiceID, err)
		}
	}
	stored, err := w.REST(stale).Get(rt.Request(stale.Namespace), stale.Name, &metav1.GetOptions{ResourceVersion: stale.ResourceVersion})
	if err != nil || stored.(*epic.Account).ResourceVersion != stale.ResourceVersion {
		t.Errorf("a dry run wrote version %s after %s, %v", stored.(*epic.Account).ResourceVersion, stale.ResourceVersion, err)
	}
	stale.Status.CurrentServiceID = 77
	for n, update := range []func(*rt.World, *epic.Account, ...string) (*epic.Account, error){rt.Update[*epic.Account], rt.UpdateStatus[*epic.Account]} {
		stale.ResourceVersion = ""
		out, err := update(w, stale)
		if err != nil || out.Status.CurrentServiceID != id+1 {
			t.Errorf("%d: stored %d, %v", n, out.Status.CurrentServiceID, err)
		}
	}
	s := kindtest.New(t, account.NewREST, nil)
	if got := s.Status.GetResetFields()["epic.acnodal.io/v1"]; !got.Has(fieldpath.MakePathOrDie("status", "current-service-id")) {
		t.Errorf("resets %s", got)
	}
}

// Writers that assign, and writers and readers of the EPIC object, fail nobody, and
// what a reader sees is never older than what it knows.
func TestReadersAmongWriters(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var group sync.WaitGroup
	var assigned atomic.Int64
	for n := range 8 {
		proxy := rt.MustCreate(w, rt.GWProxy("one", fmt.Sprint("gwp", n), "offered"))
		group.Go(func() {
			for round := 1; ctx.Err() == nil; round++ {
				if err := replaceTunnel(w, proxy, fmt.Sprintf("10.%d.%d.1", n, round%200)); err != nil {
					t.Error(err)
					return
				}
				assigned.Add(1)
			}
		})
	}
	var reads atomic.Int64
	for range 4 {
		group.Go(func() {
			before := 0
			for ctx.Err() == nil {
				out, err := w.REST(system()).Get(rt.Request("epic"), "epic", &metav1.GetOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				rv, err := strconv.Atoi(out.(*epic.EPIC).ResourceVersion)
				if err != nil || rv < before {
					t.Errorf("version %d after %d, %v", rv, before, err)
				}
				before = rv
				reads.Add(1)
			}
		})
	}
	for n := range 20 {
		out, _, err := w.REST(system()).Update(rt.Request("epic"), "epic", annotated(fmt.Sprint(n)), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
		if err != nil {
			t.Errorf("write %d among assignments: %v", n, err)
		} else if out.(*epic.EPIC).Annotations["n"] != fmt.Sprint(n) {
			t.Errorf("write %d was lost", n)
		}
	}
	if err := wait.PollUntilContextCancel(ctx, time.Millisecond, true, func(context.Context) (bool, error) {
		return t.Failed() || reads.Load() > 20 && assigned.Load() > 20, nil
	}); err != nil {
		t.Error(err)
	}
	cancel()
	group.Wait()
	checkHistory(t, w)
}

// checkHistory compares each version of the EPIC object with the last IDs in etcd's
// history: it shows one that was the last at some time before, and never an older one
// than the version before it.
func checkHistory(t *testing.T, w *rt.World) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	now, err := w.Etcd.Get(ctx, w.Prefix)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Etcd.Put(ctx, w.Prefix+"/end", ""); err != nil {
		t.Fatal(err)
	}
	lastAt := map[int32]int64{0: 0}
	versions, before := 0, int64(0)
	for resp := range w.Etcd.Watch(ctx, w.Prefix, clientv3.WithPrefix(), clientv3.WithRev(1)) {
		if err := resp.Err(); err != nil {
			t.Fatal(err)
		}
		for _, e := range resp.Events {
			switch string(e.Kv.Key) {
			case w.Prefix + "/.claims/last/tunnel":
				id, err := strconv.ParseInt(string(e.Kv.Value), 10, 32)
				if err != nil {
					t.Fatal(err)
				}
				lastAt[int32(id)] = e.Kv.ModRevision
			case w.Prefix + "/epic.acnodal.io/epics/epic/epic":
				var o v1.EPIC
				if err := json.Unmarshal(e.Kv.Value, &o); err != nil {
					t.Fatal(err)
				}
				at, known := lastAt[o.Status.CurrentTunnelID]
				if !known || at < before {
					t.Errorf("version %d shows tunnel ID %d of revision %d (known: %v), and one before it that of %d", e.Kv.ModRevision, o.Status.CurrentTunnelID, at, known, before)
				}
				versions, before = versions+1, at
			}
			if e.Kv.ModRevision > now.Header.Revision {
				if versions < 3 {
					t.Errorf("the EPIC object has %d versions", versions)
				}
				return
			}
		}
	}
}

// replaceTunnel replaces the tunnels of a proxy by one to another node.
func replaceTunnel(w *rt.World, proxy *epic.GWProxy, node string) error {
	_, _, err := w.Status(proxy).Update(rt.Request(proxy.Namespace), proxy.Name, rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		p := old.DeepCopyObject().(*epic.GWProxy)
		p.Status.GUETunnelEndpoints = tunnels(node)
		return p, nil
	}), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return err
}

func annotated(value string) rest.UpdatedObjectInfo {
	return rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		o := old.DeepCopyObject().(*epic.EPIC)
		o.Annotations = map[string]string{"n": value}
		return o, nil
	})
}

// outdated is a kind.LastIDs that a test controls.
type outdated struct {
	outdated bool
	err      error
}

func (o *outdated) Outdated(_ context.Context, _ string, objs ...runtime.Object) ([]bool, error) {
	return slices.Repeat([]bool{o.outdated}, len(objs)), o.err
}

// Reads fail where the last IDs can't be read, rather than show others.
func TestReadsWithoutLastIDs(t *testing.T) {
	s := kindtest.New(t, account.NewREST, nil)
	ids := &outdated{}
	kind.ShowLastIDs(s.REST, s.Status, ids)
	kindtest.MustCreate(s, sample())
	ctx := rt.Request("epic-root")
	reads := map[string]func() (runtime.Object, error){
		"get":           func() (runtime.Object, error) { return s.REST.Get(ctx, "root", &metav1.GetOptions{}) },
		"get of status": func() (runtime.Object, error) { return s.Status.Get(ctx, "root", &metav1.GetOptions{}) },
		"list":          func() (runtime.Object, error) { return s.REST.List(ctx, nil) },
	}
	for name, read := range reads {
		ids.err = errors.New("etcd is away")
		if out, err := read(); err == nil || out != nil {
			t.Errorf("%s: got %v, %v", name, out, err)
		}
		ids.err = nil
		if _, err := read(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	ids.err = errors.New("etcd is away")
	if _, err := s.REST.Get(ctx, "root", &metav1.GetOptions{ResourceVersion: "0"}); err != nil {
		t.Errorf("a read that accepts an older state: %v", err)
	}
	if _, err := s.REST.Get(ctx, "other", &metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v", err)
	}
}

// refreshes is the storage of one object, whose writes a test controls.
type refreshes struct {
	storage.Interface
	write func() error
}

func (r *refreshes) GuaranteedUpdate(ctx context.Context, key string, out runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object,
) error {
	if err := r.write(); err != nil {
		return err
	}
	return r.Interface.GuaranteedUpdate(ctx, key, out, ignoreNotFound, preconditions, tryUpdate, cached)
}

// In a full etcd, reads show what is stored and warn; other failures fail them.
func TestReadsThatCannotWrite(t *testing.T) {
	s := kindtest.New(t, account.NewREST, nil)
	kind.ShowLastIDs(s.REST, s.Status, &outdated{outdated: true})
	o := kindtest.MustCreate(s, sample())
	full := &apierrors.StatusError{ErrStatus: metav1.Status{Code: http.StatusInsufficientStorage}}
	var failure error
	s.REST.Storage.Storage = &refreshes{s.REST.Storage.Storage, func() error { return failure }}
	w := &warnings{}
	ctx := warning.WithWarningRecorder(rt.Request("epic-root"), w)
	for _, read := range []func() (runtime.Object, error){
		func() (runtime.Object, error) { return s.REST.Get(ctx, "root", &metav1.GetOptions{}) },
		func() (runtime.Object, error) {
			list, err := s.REST.List(ctx, nil)
			if err != nil || len(list.(*epic.AccountList).Items) != 1 {
				return nil, err
			}
			return &list.(*epic.AccountList).Items[0], nil
		},
	} {
		*w, failure = nil, full
		got, err := read()
		if err != nil || got.(*epic.Account).ResourceVersion != o.ResourceVersion || len(*w) != 1 {
			t.Errorf("got %v, %v, warned of %v", got, err, *w)
		}
		*w, failure = nil, apierrors.NewServiceUnavailable("etcd is away")
		if got, err := read(); !apierrors.IsServiceUnavailable(err) || len(*w) != 0 {
			t.Errorf("got %v, %v", got, err)
		}
	}
}

type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

// Readers share writes, and none gets the result of one that began before it came.
func TestReadersShareWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kindtest.New(t, account.NewREST, nil)
		kind.ShowLastIDs(s.REST, s.Status, &outdated{outdated: true})
		kindtest.MustCreate(s, sample())
		var began atomic.Int64
		proceed := make(chan struct{})
		s.REST.Storage.Storage = &refreshes{s.REST.Storage.Storage, func() error {
			began.Add(1)
			<-proceed
			return nil
		}}
		var group sync.WaitGroup
		read := func(ctx context.Context, want int64) {
			group.Go(func() {
				_, err := s.REST.Get(ctx, "root", &metav1.GetOptions{})
				if ctx.Err() != nil {
					if !apierrors.IsTimeout(err) {
						t.Errorf("got %v at the end of a request", err)
					}
					return
				}
				if got := began.Load(); err != nil || got < want {
					t.Errorf("a read returned after %d writes, want %d: %v", got, want, err)
				}
			})
		}
		gone, cancel := context.WithCancel(rt.Request("epic-root"))
		read(gone, 1)
		synctest.Wait()
		for range 50 {
			read(rt.Request("epic-root"), 2)
		}
		synctest.Wait()
		if got := began.Load(); got != 1 {
			t.Errorf("%d writes run at once", got)
		}
		cancel()
		synctest.Wait()
		close(proceed)
		group.Wait()
		if got := began.Load(); got != 2 {
			t.Errorf("51 reads made %d writes", got)
		}

		// However eager readers are, the object is written five times a second after
		// the first few.
		start := time.Now()
		for range 60 {
			read(rt.Request("epic-root"), 0)
			group.Wait()
		}
		if took := time.Since(start); took < 9*time.Second || took > 13*time.Second {
			t.Errorf("60 reads take %s", took)
		}
	})
}

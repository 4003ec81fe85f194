// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// Watches of one namespace that begin while its objects change see every object,
// each version once and in order, nothing of other namespaces, and end up with
// what is there. On a busy machine the cache may end a watch: its client is too slow,
// or more has changed than the cache remembers. The client then watches again, as
// informers do. A watch that begins after the last write has no reason to end.
func TestNarrowWatchesAmongWrites(t *testing.T) {
	const watchers, pods, changes = 20, 5, 40
	s := newSuite(t, suiteCase{}, true)
	key := func(ns string, n int) string { return fmt.Sprintf("/pods/%s/pod%d", ns, n) }
	for _, ns := range []string{"mine", "other"} {
		for n := range pods {
			pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprintf("pod%d", n), Labels: map[string]string{"n": "0"}}}
			if err := s.Create(t.Context(), key(ns, n), pod, nil, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	var wg, writers sync.WaitGroup
	var written atomic.Bool
	for _, ns := range []string{"mine", "other"} {
		writers.Go(func() {
			for i := 1; i <= changes; i++ {
				for n := range pods {
					err := s.GuaranteedUpdate(t.Context(), key(ns, n), &example.Pod{}, false, nil, func(in runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
						in.(*example.Pod).Labels = map[string]string{"n": fmt.Sprint(i)}
						return in, nil, nil
					}, nil)
					if err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Go(func() {
		writers.Wait()
		written.Store(true)
	})
	want := map[string]string{}
	for n := range pods {
		want[fmt.Sprintf("pod%d", n)] = fmt.Sprint(changes)
	}
	yes := true
	opts := storage.ListOptions{Recursive: true, SendInitialEvents: &yes, Predicate: storage.SelectionPredicate{
		Label: labels.Everything(), Field: fields.Everything(), AllowWatchBookmarks: true,
	}}
	// begin also reports whether everything was written before the watch began.
	begin := func() (_ watch.Interface, all bool, err error) {
		all = written.Load()
		w, err := s.Watch(t.Context(), "/pods/mine", opts)
		return w, all, err
	}
	for range watchers {
		w, all, err := begin()
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for {
				seen, whole := follow(t, w, want)
				w.Stop()
				if whole {
					if d := cmp.Diff(want, seen); d != "" {
						t.Errorf("A watch ends with (-want +got):\n%s", d)
					}
					return
				}
				if all {
					t.Error("A watch ended after the last write")
					return
				}
				var err error
				if w, all, err = begin(); err != nil {
					t.Error(err)
					return
				}
			}
		})
		time.Sleep(10 * time.Millisecond) // so that they begin among the writes
	}
	wg.Wait()
}

// follow keeps what a watch reports, until that is what is wanted. The watch is not
// whole if it ends before.
func follow(t *testing.T, w watch.Interface, want map[string]string) (_ map[string]string, whole bool) {
	seen, state := map[string]string{}, false
	var last uint64
	for deadline := time.After(time.Minute); !state || !cmp.Equal(seen, want); {
		select {
		case event, ok := <-w.ResultChan():
			if !ok {
				return seen, false
			}
			obj := event.Object
			if shared, ok := obj.(runtime.CacheableObject); ok {
				obj = shared.GetObject()
			}
			pod, isPod := obj.(*example.Pod)
			if !isPod {
				t.Errorf("%s: %v", event.Type, obj)
				return seen, true
			}
			version, err := storage.APIObjectVersioner{}.ObjectResourceVersion(pod)
			if err != nil {
				t.Error(err)
			}
			switch {
			case event.Type == watch.Bookmark:
				state = state || pod.Annotations[metav1.InitialEventsAnnotationKey] == "true"
				last = max(last, version)
				continue
			case pod.Namespace != "mine":
				t.Errorf("%s of namespace %s", event.Type, pod.Namespace)
			case !state && event.Type != watch.Added, state && event.Type != watch.Modified:
				t.Errorf("%s while state=%t", event.Type, state)
			case state && version <= last:
				t.Errorf("Version %d after %d", version, last)
			}
			if state {
				last = version
			}
			seen[pod.Name] = pod.Labels["n"]
		case <-deadline:
			t.Error("The last change does not come")
			return seen, true
		}
	}
	return seen, true
}

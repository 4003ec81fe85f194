// SPDX-License-Identifier: Apache-2.0

package narrowwatch

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
)

// recorder is a storage that notes what it is asked. That the answers of a real
// one are put together as they should be is tested where claims are, by the
// suites of k8s.io/apiserver on a real watch cache.
type recorder struct {
	storage.Interface
	asked   []string
	listErr error
	// watches are the answers, one a call.
	watches []watch.Interface
}

func (r *recorder) GetList(_ context.Context, key string, opts storage.ListOptions, into runtime.Object) error {
	r.asked = append(r.asked, fmt.Sprintf("list %s from %q %s", key, opts.ResourceVersion, opts.ResourceVersionMatch))
	if r.listErr != nil {
		return r.listErr
	}
	list := into.(*example.PodList)
	list.ResourceVersion = "7"
	list.Items = []example.Pod{{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "3"}}, {ObjectMeta: metav1.ObjectMeta{Name: "b", ResourceVersion: "6"}}}
	return nil
}

func (r *recorder) Watch(_ context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	state := ""
	if opts.SendInitialEvents != nil {
		state = fmt.Sprintf(" state=%t", *opts.SendInitialEvents)
	}
	r.asked = append(r.asked, fmt.Sprintf("watch %s from %q%s", key, opts.ResourceVersion, state))
	w := r.watches[0]
	r.watches = r.watches[1:]
	return w, nil
}

func (r *recorder) store() storage.Interface {
	return New(r, "/pods", func() runtime.Object { return &example.Pod{} }, func() runtime.Object { return &example.PodList{} })
}

func stateWatch(from string) storage.ListOptions {
	yes := true
	p := storage.SelectionPredicate{Label: labels.Everything(), Field: fields.Everything(), AllowWatchBookmarks: true}
	return storage.ListOptions{ResourceVersion: from, Predicate: p, Recursive: true, SendInitialEvents: &yes}
}

func TestWhatBeginsWithAList(t *testing.T) {
	no := false
	for name, test := range map[string]struct {
		key    string
		change func(*storage.ListOptions)
		want   []string
	}{
		"one namespace, its state":      {key: "/pods/ns", want: []string{`list /pods/ns from "" `, `watch /pods/ns from "7"`}},
		"no older than a version":       {key: "/pods/ns/", change: func(o *storage.ListOptions) { o.ResourceVersion = "5" }, want: []string{`list /pods/ns/ from "5" NotOlderThan`, `watch /pods/ns/ from "7"`}},
		"any version, as old clients":   {key: "/pods/ns", change: func(o *storage.ListOptions) { o.ResourceVersion, o.SendInitialEvents = "0", nil }, want: []string{`list /pods/ns from "0" NotOlderThan`, `watch /pods/ns from "7"`}},
		"all, by an index":              {key: "/pods", change: byNode, want: []string{`list /pods from "" `, `watch /pods from "7"`}},
		"all":                           {key: "/pods", want: []string{`watch /pods from "" state=true`}},
		"all, with a slash":             {key: "/pods/", want: []string{`watch /pods/ from "" state=true`}},
		"a field without an index":      {key: "/pods", change: func(o *storage.ListOptions) { byNode(o); o.Predicate.IndexFields = nil }, want: []string{`watch /pods from "" state=true`}},
		"one object":                    {key: "/pods/ns/a", change: func(o *storage.ListOptions) { o.Recursive = false }, want: []string{`watch /pods/ns/a from "" state=true`}},
		"changes only":                  {key: "/pods/ns", change: func(o *storage.ListOptions) { o.ResourceVersion, o.SendInitialEvents = "5", nil }, want: []string{`watch /pods/ns from "5"`}},
		"changes only, from any":        {key: "/pods/ns", change: func(o *storage.ListOptions) { o.ResourceVersion, o.SendInitialEvents = "0", &no }, want: []string{`watch /pods/ns from "0" state=false`}},
		"from the newest, without word": {key: "/pods/ns", change: func(o *storage.ListOptions) { o.SendInitialEvents = nil }, want: []string{`watch /pods/ns from ""`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{watches: []watch.Interface{watch.NewFake()}}
			opts := stateWatch("")
			if test.change != nil {
				test.change(&opts)
			}
			w, err := r.store().Watch(t.Context(), test.key, opts)
			if err != nil {
				t.Fatal(err)
			}
			w.Stop()
			if d := cmp.Diff(test.want, r.asked); d != "" {
				t.Errorf("The cache is asked something else (-want +got):\n%s", d)
			}
		})
	}
}

func byNode(o *storage.ListOptions) {
	o.Predicate.Field = fields.OneTermEqualSelector("spec.nodeName", "n")
	o.Predicate.IndexFields = []string{"spec.nodeName"}
}

// The state, the bookmark behind it, and the changes since come in this order.
func TestOrder(t *testing.T) {
	changes := watch.NewFakeWithOptions(watch.FakeOptions{ChannelSize: 1})
	// One change is there as soon as the cache is asked, another comes later.
	changes.Modify(&example.Pod{ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "8"}})
	w, err := (&recorder{watches: []watch.Interface{changes}}).store().Watch(t.Context(), "/pods/ns", stateWatch(""))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	changes.Delete(&example.Pod{ObjectMeta: metav1.ObjectMeta{Name: "b", ResourceVersion: "9"}})
	changes.Stop()
	var got []string
	for event := range w.ResultChan() {
		pod := event.Object.(*example.Pod)
		got = append(got, fmt.Sprint(event.Type, pod.Name, pod.ResourceVersion, pod.Annotations[metav1.InitialEventsAnnotationKey]))
	}
	if d := cmp.Diff([]string{"ADDEDa3", "ADDEDb6", "BOOKMARK7true", "MODIFIEDa8", "DELETEDb9"}, got); d != "" {
		t.Errorf("Other events (-want +got):\n%s", d)
	}
}

func TestNoBookmarkUnlessAsked(t *testing.T) {
	for name, change := range map[string]func(*storage.ListOptions){
		"no bookmarks": func(o *storage.ListOptions) { o.Predicate.AllowWatchBookmarks = false },
		"old clients":  func(o *storage.ListOptions) { o.ResourceVersion, o.SendInitialEvents = "0", nil },
	} {
		t.Run(name, func(t *testing.T) {
			changes := watch.NewFake()
			opts := stateWatch("")
			change(&opts)
			w, err := (&recorder{watches: []watch.Interface{changes}}).store().Watch(t.Context(), "/pods/ns", opts)
			if err != nil {
				t.Fatal(err)
			}
			changes.Stop()
			n := 0
			for event := range w.ResultChan() {
				n++
				if event.Type != watch.Added {
					t.Errorf("%s, unasked", event.Type)
				}
			}
			if n != 2 {
				t.Errorf("%d objects, not 2", n)
			}
		})
	}
}

// Where the list can't be had, or the cache has forgotten its version already,
// the cache does it all, and describes what is wrong in its own words.
func TestTheCacheHelpsOut(t *testing.T) {
	forgotten := watch.NewFakeWithOptions(watch.FakeOptions{ChannelSize: 1})
	expired := apierrors.NewResourceExpired("too old")
	forgotten.Error(&expired.ErrStatus)
	for name, r := range map[string]*recorder{
		"no list":   {listErr: errors.New("no"), watches: []watch.Interface{watch.NewFake()}},
		"forgotten": {watches: []watch.Interface{forgotten, watch.NewFake()}},
	} {
		t.Run(name, func(t *testing.T) {
			w, err := r.store().Watch(t.Context(), "/pods/ns", stateWatch(""))
			if err != nil {
				t.Fatal(err)
			}
			w.Stop()
			if last := r.asked[len(r.asked)-1]; last != `watch /pods/ns from "" state=true` {
				t.Errorf("At last the cache is asked: %s", last)
			}
			if len(r.watches) > 0 {
				t.Error("The cache was not asked to do it all")
			}
		})
	}
	if !forgotten.IsStopped() {
		t.Error("The watch that came to nothing was not stopped")
	}
}

// A watch that nobody reads any more ends, wherever it is.
func TestStop(t *testing.T) {
	changes := watch.NewFake()
	w, err := (&recorder{watches: []watch.Interface{changes}}).store().Watch(t.Context(), "/pods/ns", stateWatch(""))
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	w.Stop()
	for deadline := time.After(10 * time.Second); ; {
		select {
		case _, ok := <-w.ResultChan():
			if ok {
				continue
			}
			if !changes.IsStopped() {
				t.Error("The cache's watch goes on")
			}
			return
		case <-deadline:
			t.Fatal("It does not end")
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package narrowwatch

import (
	"context"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/storage"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
)

// store is a storage whose filtered watches begin with a list.
type store struct {
	storage.Interface
	// root is the key prefix of all objects of the kind, with a trailing slash.
	root             string
	newFunc, newList func() runtime.Object
}

// New returns a storage that behaves like cached, but whose filtered watches cost only
// what they return. cached is the watch cache of one kind, whose keys begin with
// resourcePrefix.
func New(cached storage.Interface, resourcePrefix string, newFunc, newList func() runtime.Object) storage.Interface {
	return &store{Interface: cached, root: directory(resourcePrefix), newFunc: newFunc, newList: newList}
}

// Watch implements storage.Interface.
func (s *store) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	if !wantsState(opts) || !s.narrow(ctx, key, opts) {
		return s.Interface.Watch(ctx, key, opts)
	}
	list, version, err := s.list(ctx, key, opts)
	if err != nil {
		// The cache returns its own error for invalid options.
		return s.Interface.Watch(ctx, key, opts)
	}
	since := opts
	since.ResourceVersion, since.ResourceVersionMatch, since.SendInitialEvents = version, "", nil
	events, err := s.Interface.Watch(ctx, key, since)
	if err != nil {
		return nil, err
	}
	first, err := s.initial(list, version, opts)
	if err != nil {
		events.Stop()
		return nil, err
	}
	select {
	case event, ok := <-events.ResultChan():
		if !ok || event.Type == watch.Error {
			// So much has changed since the list that the cache no longer has its
			// version. Let the cache start the watch.
			events.Stop()
			return s.Interface.Watch(ctx, key, opts)
		}
		first = append(first, event)
	default:
	}
	return start(first, events), nil
}

// wantsState reports whether a watch must begin with the existing objects. The cache has
// one more such case, an absent version, which no client of the API can request: the
// handlers list instead.
func wantsState(opts storage.ListOptions) bool {
	if opts.SendInitialEvents != nil {
		return *opts.SendInitialEvents && utilfeature.DefaultFeatureGate.Enabled(features.WatchList)
	}
	return opts.ResourceVersion == "0"
}

// narrow reports whether a list finds the watched objects without iterating over all of
// them: by a key below the root, or by an index.
func (s *store) narrow(ctx context.Context, key string, opts storage.ListOptions) bool {
	if !opts.Recursive {
		return false // one object, which the cache finds directly
	}
	key = directory(key)
	return strings.HasPrefix(key, s.root) && key != s.root || len(opts.Predicate.MatcherIndex(ctx)) > 0
}

// list returns the existing objects, no older than the watch requests, and their version.
func (s *store) list(ctx context.Context, key string, opts storage.ListOptions) (runtime.Object, string, error) {
	read := storage.ListOptions{ResourceVersion: opts.ResourceVersion, Predicate: opts.Predicate, Recursive: true}
	if read.ResourceVersion != "" {
		read.ResourceVersionMatch = metav1.ResourceVersionMatchNotOlderThan
	}
	list := s.newList()
	if err := s.GetList(ctx, key, read, list); err != nil {
		return nil, "", err
	}
	m, err := meta.ListAccessor(list)
	if err != nil {
		return nil, "", err
	}
	return list, m.GetResourceVersion(), nil
}

// initial converts a list to the events that a watch begins with, followed by a bookmark
// if one is requested.
func (s *store) initial(list runtime.Object, version string, opts storage.ListOptions) ([]watch.Event, error) {
	events := make([]watch.Event, 0, meta.LenList(list)+1)
	if err := meta.EachListItem(list, func(obj runtime.Object) error {
		events = append(events, watch.Event{Type: watch.Added, Object: obj})
		return nil
	}); err != nil {
		return nil, err
	}
	if opts.SendInitialEvents == nil || !opts.Predicate.AllowWatchBookmarks {
		return events, nil
	}
	bookmark := s.newFunc()
	m, err := meta.Accessor(bookmark)
	if err != nil {
		return nil, err
	}
	m.SetResourceVersion(version)
	if err := storage.AnnotateInitialEventsEndBookmark(bookmark); err != nil {
		return nil, err
	}
	return append(events, watch.Event{Type: watch.Bookmark, Object: bookmark}), nil
}

func directory(key string) string {
	key = "/" + strings.TrimPrefix(key, "/")
	return strings.TrimSuffix(key, "/") + "/"
}

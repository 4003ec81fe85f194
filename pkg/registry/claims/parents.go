// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"container/list"
	"context"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/runtime"
)

const (
	// parentsBytes limits the total size of the cached objects, as encoded in etcd.
	// Decoded objects take a few times as much.
	parentsBytes = 16 << 20
	// parentsShare limits a single object to 1/parentsShare of parentsBytes.
	parentsShare = 16
)

// parentCache caches objects on which writes depend, so a write need not read its parents
// from etcd first. Reads fill it, and it does not need a watch: the transaction of a
// write compares the revision of every object that its plan took from the cache, so an
// outdated entry only costs another plan. The cache has no negative entries.
type parentCache struct {
	mu    sync.Mutex
	most  int
	bytes int
	// order lists the entries, most recently used first.
	order   *list.List
	entries map[Ref]*list.Element
	// reads holds the reads in progress that other plans wait for, by the objects they
	// read. Each channel is closed when its read ends.
	reads map[string]chan struct{}
}

type rememberedParent struct {
	ref Ref
	// obj is shared by all readers and must not be changed.
	obj  runtime.Object
	revs revisions
	size int
}

// remembered returns the entry of a list element.
func remembered(e *list.Element) *rememberedParent {
	return e.Value.(*rememberedParent) //nolint:errcheck,forcetypeassert // the list holds nothing else
}

func newParentCache(most int) *parentCache {
	return &parentCache{most: most, order: list.New(), entries: map[Ref]*list.Element{}, reads: map[string]chan struct{}{}}
}

// lead elects the caller to read the objects: other callers that need the same ones wait
// until it calls done. If another caller is reading them, lead waits for it and returns
// waited = true. A caller that waited must check whether the objects are cached, and
// otherwise read them without waiting again.
func (c *parentCache) lead(ctx context.Context, refs []Ref) (done func(), waited bool, err error) {
	names := make([]string, len(refs))
	for i, ref := range refs {
		names[i] = ref.String()
	}
	key := strings.Join(names, " ")
	c.mu.Lock()
	other, ok := c.reads[key]
	if !ok {
		end := make(chan struct{})
		c.reads[key] = end
		c.mu.Unlock()
		return func() {
			c.mu.Lock()
			delete(c.reads, key)
			c.mu.Unlock()
			close(end)
		}, false, nil
	}
	c.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, false, ctx.Err()
	case <-other:
		return func() {}, true, nil
	}
}

// get returns a copy of a cached object.
func (c *parentCache) get(ref Ref) (runtime.Object, revisions, bool) {
	c.mu.Lock()
	e, ok := c.entries[ref]
	if !ok {
		c.mu.Unlock()
		return nil, revisions{}, false
	}
	c.order.MoveToFront(e)
	r := remembered(e)
	c.mu.Unlock()
	return r.obj.DeepCopyObject(), r.revs, true
}

// add caches an object of the given encoded size. The caller must not change obj
// afterward.
func (c *parentCache) add(ref Ref, obj runtime.Object, revs revisions, size int) {
	if size > c.most/parentsShare {
		c.drop(ref)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[ref]; ok {
		if remembered(e).revs.mod >= revs.mod {
			// A slower read must not replace the result of a later one.
			return
		}
		c.remove(e)
	}
	c.entries[ref] = c.order.PushFront(&rememberedParent{ref: ref, obj: obj, revs: revs, size: size})
	c.bytes += size
	for c.bytes > c.most {
		c.remove(c.order.Back())
	}
}

// drop removes objects from the cache.
func (c *parentCache) drop(refs ...Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ref := range refs {
		if e, ok := c.entries[ref]; ok {
			c.remove(e)
		}
	}
}

func (c *parentCache) remove(e *list.Element) {
	r := remembered(e)
	c.order.Remove(e)
	delete(c.entries, r.ref)
	c.bytes -= r.size
}

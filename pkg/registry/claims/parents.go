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
	// parentsBytes bounds the remembered objects by their size in etcd. Decoded
	// objects take a few times as much.
	parentsBytes = 16 << 20
	// parentsShare is the part of it that a single object may take.
	parentsShare = 16
)

// parentCache remembers objects on which writes depend, so a write need not
// read its parents from etcd first. It is filled by reads and does not need a watch: the
// transaction of a write compares the revision of every object that its plan took
// from here, so an entry that is out of date costs another plan and nothing else.
// That an object does not exist is never remembered.
type parentCache struct {
	mu    sync.Mutex
	most  int
	bytes int
	// order lists the entries, the one used last first.
	order   *list.List
	entries map[Ref]*list.Element
	// reads are the reads under way for which others wait, by what they read. Each
	// is closed at its end.
	reads map[string]chan struct{}
}

type rememberedParent struct {
	ref Ref
	// obj is shared by all who ask for it and never changed.
	obj  runtime.Object
	revs revisions
	size int
}

// remembered returns what an element of the list holds.
func remembered(e *list.Element) *rememberedParent {
	return e.Value.(*rememberedParent) //nolint:errcheck,forcetypeassert // the list holds nothing else
}

func newParentCache(most int) *parentCache {
	return &parentCache{most: most, order: list.New(), entries: map[Ref]*list.Element{}, reads: map[string]chan struct{}{}}
}

// lead makes the caller read objects while others that want the same wait, until it
// calls done. If somebody else reads them just now, it waits for that instead, and
// waited is true. A caller that waited has to check whether the objects are remembered
// by now, and otherwise read them without waiting for anybody again.
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

// get returns a copy of the remembered object.
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

// add remembers an object of the given encoded size. The caller must not change
// obj afterward.
func (c *parentCache) add(ref Ref, obj runtime.Object, revs revisions, size int) {
	if size > c.most/parentsShare {
		c.drop(ref)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.entries[ref]; ok {
		if remembered(e).revs.mod >= revs.mod {
			// A slower read must not replace the answer of a later one.
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

// drop forgets objects.
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

// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"sync"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// content is what an answer is about.
type content struct {
	typ     resource.Type
	version string
}

func contentOf(r *resource.Resource) content { return content{r.Type, r.Version} }

// cache keeps answers in two generations: when the young one is half of the size, it
// takes the place of the old one. An answer that is used moves to the young one.
type cache struct {
	half int

	mu         sync.Mutex
	young, old map[content]string
}

func newCache(size int) *cache {
	return &cache{half: max(size/2, 1), young: map[content]string{}, old: map[content]string{}}
}

func (c *cache) get(k content) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if text, ok := c.young[k]; ok {
		return text, true
	}
	text, ok := c.old[k]
	if ok {
		c.add(k, text)
	}
	return text, ok
}

func (c *cache) put(k content, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(k, text)
}

func (c *cache) add(k content, text string) {
	if len(c.young) >= c.half {
		c.old, c.young = c.young, map[content]string{}
	}
	c.young[k] = text
}

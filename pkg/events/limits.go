// SPDX-License-Identifier: Apache-2.0

package events

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/lru"
)

// limit is a token bucket: a burst, and the interval of further events.
type limit struct {
	burst int
	every time.Duration
}

func (l limit) bucket() *rate.Limiter { return rate.NewLimiter(rate.Every(l.every), l.burst) }

// Limits of one program. The program's own limit restricts its writes: at most 400 events
// in the first minute, and 300 in each further one.
var (
	objectLimit    = limit{burst: 10, every: time.Minute}
	namespaceLimit = limit{burst: 50, every: 2 * time.Second}
	programLimit   = limit{burst: 100, every: 200 * time.Millisecond}
)

const (
	// mostObjects and mostNamespaces are the numbers of buckets that are kept: those of
	// the latest events. Others start with a full bucket.
	mostObjects    = 16384
	mostNamespaces = 4096
)

// Limits because of which an event is dropped, as named by the metric of suppressed
// events.
const (
	byObject    = "object"
	byNamespace = "namespace"
	byProgram   = "program"
)

// reserved returns the percentage of the namespace's and the program's bucket that an
// event of a kind leaves to those of other kinds. Accounts, pools and the installation
// are few, and leave nothing; endpoints are many, and the state of their load balancer is
// also reported.
func reserved(kind string) int {
	switch kind {
	case "EPIC", "ServicePrefix", "Account":
		return 0
	case "LoadBalancer", "GWProxy":
		return 25
	}
	return 50
}

// object is the state of an object.
type object struct {
	bucket *rate.Limiter
	// dropped is the number of its events dropped since the last recorded one.
	dropped int
}

// limiter decides which events are recorded.
type limiter struct {
	now func() time.Time

	mu         sync.Mutex
	objects    *lru.Cache
	namespaces *lru.Cache
	program    *rate.Limiter
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, objects: lru.New(mostObjects), namespaces: lru.New(mostNamespaces), program: programLimit.bucket()}
}

type objectKey struct {
	kind string
	types.NamespacedName
}

// take requests an event of an object. It returns the limit because of which the event is
// dropped, or "" if it is recorded, and then the number of the object's events dropped
// before it.
func (l *limiter) take(key objectKey) (by string, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, percent := l.now(), reserved(key.kind)
	o := remembered(l.objects, key, func() *object { return &object{bucket: objectLimit.bucket()} })
	namespace := remembered(l.namespaces, key.Namespace, namespaceLimit.bucket)
	switch {
	case !has(o.bucket, now, 0):
		by = byObject
	case !has(namespace, now, percent):
		by = byNamespace
	case !has(l.program, now, percent):
		by = byProgram
	}
	if by != "" {
		o.dropped++
		return by, 0
	}
	for _, bucket := range []*rate.Limiter{o.bucket, namespace, l.program} {
		bucket.AllowN(now, 1)
	}
	dropped, o.dropped = o.dropped, 0
	return "", dropped
}

// has reports whether a bucket has a token in addition to a reserved share.
func has(bucket *rate.Limiter, now time.Time, percent int) bool {
	return bucket.TokensAt(now) >= 1+float64(bucket.Burst()*percent)/100 //nolint:mnd // percent
}

// remembered returns the value of a key, or a new one if there is none.
func remembered[T any](c *lru.Cache, key lru.Key, fresh func() T) T {
	if v, ok := c.Get(key); ok {
		if t, ok := v.(T); ok {
			return t
		}
	}
	t := fresh()
	c.Add(key, t)
	return t
}

// SPDX-License-Identifier: Apache-2.0

// Package keys fetches the keys of a node's tunnels from the API, and fetches them again
// when they may have been replaced: if the program starts with those on disk,
// periodically, and when the two ends of a tunnel do not have the same ones. It stores
// none.
package keys

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/workers"
)

const (
	// Refresh is the interval of regular fetches. When a master key is rotated, both keys
	// are valid for longer than this.
	Refresh = 10 * time.Minute
	// suspectPause is the minimum time between two fetches of an object's keys because of
	// suspicions, which anybody can cause.
	suspectPause = 30 * time.Second
	// pace and burst limit the fetches of existing keys: the rate for suspicions of all
	// objects together, and the same rate at the start.
	pace, burst = 50, 100
	// atOnce is the number of concurrent fetches.
	atOnce = 8
)

// Target holds the objects and receives their keys.
type Target interface {
	Get(intent.Key) (apply.State, bool)
	SetKeys(intent.Key, intent.Keys)
	Owner(tunnel uint32) (intent.Key, bool)
}

// Fetcher fetches keys.
type Fetcher struct {
	client  versioned.Interface
	target  Target
	queue   workqueue.TypedRateLimitingInterface[intent.Key]
	suspect chan uint32
	// starts limits the first fetches of keys that were on disk, suspicions the fetches
	// because of those.
	starts, suspicions *rate.Limiter

	mu sync.Mutex
	// followed holds the objects whose keys this process has fetched or will fetch; the
	// values are the times of the last suspicion that was followed.
	followed map[intent.Key]time.Time
	err      error
}

// New returns a Fetcher.
func New(client versioned.Interface, target Target) *Fetcher {
	return &Fetcher{
		client: client, target: target, suspect: make(chan uint32, 256), followed: map[intent.Key]time.Time{},
		starts: rate.NewLimiter(pace, burst), suspicions: rate.NewLimiter(pace, burst),
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[intent.Key](50*time.Millisecond, time.Minute)),
	}
}

// Need requests the keys of an object: immediately if one of its tunnels has none, and
// soon if they are from an earlier process, because they may have been replaced while the
// node was down.
func (f *Fetcher) Need(i *intent.Intent) {
	s, ok := f.target.Get(i.Key)
	if !ok || len(i.Tunnels) == 0 {
		return
	}
	f.mu.Lock()
	_, followed := f.followed[i.Key]
	if !followed {
		f.followed[i.Key] = time.Time{}
	}
	f.mu.Unlock()
	for _, t := range i.Tunnels {
		if len(s.Keys.Of(t.ID)) == 0 {
			f.queue.Add(i.Key)
			return
		}
	}
	if !followed {
		f.queue.AddAfter(i.Key, f.starts.Reserve().Delay())
	}
}

// Suspect indicates that the keys of a tunnel may have been replaced. It never blocks.
func (f *Fetcher) Suspect(tunnel uint32) {
	select {
	case f.suspect <- tunnel:
	default:
	}
}

// Err returns why keys can't be fetched, nil if they can.
func (f *Fetcher) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Run fetches until the context ends.
func (f *Fetcher) Run(ctx context.Context) {
	var working sync.WaitGroup
	working.Go(func() { workers.Run(ctx, f.queue, atOnce, f.work) })
	for {
		select {
		case <-ctx.Done():
			working.Wait()
			return
		case tunnel := <-f.suspect:
			if key, ok := f.target.Owner(tunnel); ok && f.due(key) {
				f.queue.Add(key)
			}
		}
	}
}

// due reports whether to follow a suspicion. One that is not followed is raised again, as
// long as there is a reason.
func (f *Fetcher) due(key intent.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Sub(f.followed[key]) < suspectPause || !f.suspicions.Allow() {
		return false
	}
	f.followed[key] = now
	return true
}

// work fetches the keys of an object, and reports whether it has to be retried.
func (f *Fetcher) work(ctx context.Context, key intent.Key) bool {
	again, err := f.fetch(ctx, key)
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	if err != nil {
		klog.FromContext(ctx).V(1).Info("Tunnel keys can't be fetched, trying again", "object", key.String(), "err", err)
	}
	return again || err != nil
}

// fetch returns true if the response does not contain everything that is needed yet.
func (f *Fetcher) fetch(ctx context.Context, key intent.Key) (bool, error) {
	s, ok := f.target.Get(key)
	if !ok || len(s.Intent.Tunnels) == 0 {
		f.mu.Lock()
		delete(f.followed, key)
		f.mu.Unlock()
		return false, nil
	}
	answer, err := f.get(ctx, key)
	if apierrors.IsNotFound(err) {
		// The object is being deleted, which the watch will report, or the API lacks it
		// temporarily, which a retry will show.
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("tunnel keys of %s: %w", key, err)
	}
	if answer.UID != s.Intent.UID {
		return true, nil
	}
	got, own := intent.KeysOf(answer), map[uint32][]gue.Key{}
	missing := false
	for _, t := range s.Intent.Tunnels {
		if k := got[t.ID]; len(k) > 0 {
			own[t.ID] = k
		} else {
			missing = true
			own[t.ID] = s.Keys.Of(t.ID)
		}
	}
	f.target.SetKeys(key, intent.NewKeys(own))
	f.queue.AddAfter(key, Refresh-time.Duration(rand.Int64N(int64(Refresh/5)))) //nolint:gosec // spreads the load
	return missing, nil
}

func (f *Fetcher) get(ctx context.Context, key intent.Key) (*epicv1.TunnelKeys, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if key.Kind == proxies.LoadBalancer {
		return f.client.EpicV1().LoadBalancers(key.Namespace).GetTunnelKeys(ctx, key.Name, metav1.GetOptions{})
	}
	return f.client.EpicV1().GWProxies(key.Namespace).GetTunnelKeys(ctx, key.Name, metav1.GetOptions{})
}

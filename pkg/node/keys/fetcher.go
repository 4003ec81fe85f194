// SPDX-License-Identifier: Apache-2.0

// Package keys fetches the keys of a node's tunnels from the API, and again when
// they may have been replaced: after a while, and when the other end does not know
// them. It keeps none.
package keys

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
)

const (
	// Refresh is how often keys are fetched without a reason. Master keys are
	// replaced with two valid at a time, for longer than this.
	Refresh = 10 * time.Minute
	// suspectPause is the least time between two fetches for a suspicion, which
	// anybody can raise.
	suspectPause = 30 * time.Second
	workers      = 8
)

// Target has the objects and takes their keys.
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

	mu   sync.Mutex
	last map[intent.Key]time.Time
	err  error
}

// New returns a Fetcher.
func New(client versioned.Interface, target Target) *Fetcher {
	return &Fetcher{
		client: client, target: target, suspect: make(chan uint32, 256), last: map[intent.Key]time.Time{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[intent.Key](50*time.Millisecond, time.Minute)),
	}
}

// Need asks for the keys of an object, if one of its tunnels has none.
func (f *Fetcher) Need(i *intent.Intent) {
	s, ok := f.target.Get(i.Key)
	if !ok {
		return
	}
	for _, t := range i.Tunnels {
		if len(s.Keys[t.ID]) == 0 {
			f.queue.Add(i.Key)
			return
		}
	}
}

// Suspect says that the keys of a tunnel may have been replaced. It never blocks.
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
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for f.next(ctx) {
				continue
			}
		})
	}
	for {
		select {
		case <-ctx.Done():
			f.queue.ShutDown()
			wg.Wait()
			return
		case tunnel := <-f.suspect:
			if key, ok := f.target.Owner(tunnel); ok && f.due(key) {
				f.queue.Add(key)
			}
		}
	}
}

func (f *Fetcher) due(key intent.Key) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.last[key]) >= suspectPause
}

func (f *Fetcher) next(ctx context.Context) bool {
	key, quit := f.queue.Get()
	if quit {
		return false
	}
	defer f.queue.Done(key)
	again, err := f.fetch(ctx, key)
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
	switch {
	case err != nil:
		klog.FromContext(ctx).V(1).Info("Tunnel keys can't be fetched, trying again", "object", key.String(), "err", err)
		f.queue.AddRateLimited(key)
	case again:
		f.queue.AddRateLimited(key)
	default:
		f.queue.Forget(key)
	}
	return true
}

// fetch returns true when the answer is not all that is needed yet.
func (f *Fetcher) fetch(ctx context.Context, key intent.Key) (bool, error) {
	s, ok := f.target.Get(key)
	if !ok || len(s.Intent.Tunnels) == 0 {
		f.mu.Lock()
		delete(f.last, key)
		f.mu.Unlock()
		return false, nil
	}
	answer, err := f.get(ctx, key)
	if apierrors.IsNotFound(err) {
		// It is being deleted, which the watch will tell; or the API does not have
		// what it should, which a retry will tell.
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("tunnel keys of %s: %w", key, err)
	}
	f.mu.Lock()
	f.last[key] = time.Now()
	f.mu.Unlock()
	if answer.UID != s.Intent.UID {
		return true, nil
	}
	got, own := intent.KeysOf(answer), intent.Keys{}
	missing := false
	for _, t := range s.Intent.Tunnels {
		if k := got[t.ID]; len(k) > 0 {
			own[t.ID] = k
		} else {
			missing = true
			own[t.ID] = s.Keys[t.ID]
		}
	}
	f.target.SetKeys(key, own)
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

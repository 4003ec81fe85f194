// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
)

// rig is a Fetcher between an API that gives out keys with one ID, and objects with
// one tunnel each.
type rig struct {
	*Fetcher

	mu      sync.Mutex
	master  int32
	fails   error
	fetched int
	objects map[intent.Key]apply.State
	owners  map[uint32]intent.Key
}

func newRig(t *testing.T) *rig {
	r := &rig{master: 1, objects: map[intent.Key]apply.State{}, owners: map[uint32]intent.Key{}}
	client := &fake.Clientset{}
	client.AddReactor("get", "loadbalancers", func(action clienttesting.Action) (bool, runtime.Object, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if action.GetSubresource() != "tunnelkeys" {
			return true, nil, fmt.Errorf("unexpected: %v", action)
		}
		r.fetched++
		if r.fails != nil {
			return true, nil, r.fails
		}
		name := action.(clienttesting.GetAction).GetName()
		answer := &epicv1.TunnelKeys{}
		answer.UID = types.UID(name)
		for id, key := range r.owners {
			if key.Name == name {
				answer.Tunnels = append(answer.Tunnels, epicv1.TunnelKeySet{TunnelID: int32(id), Keys: []epicv1.TunnelKey{{ID: r.master, Key: make([]byte, gue.KeySize)}}})
			}
		}
		return true, answer, nil
	})
	r.Fetcher = New(client, r)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// add adds an object with a tunnel, whose key on disk has an ID; 0 if it has none.
func (r *rig) add(id uint32, onDisk uint8) {
	i := &intent.Intent{Key: intent.Key{Kind: proxies.LoadBalancer, Namespace: "epic-a", Name: fmt.Sprint(id)}, Tunnels: []intent.Tunnel{{ID: id}}}
	i.UID = types.UID(i.Name)
	s := apply.State{Intent: i}
	if onDisk != 0 {
		s.Keys = intent.NewKeys(map[uint32][]gue.Key{id: {{ID: onDisk}}})
	}
	r.mu.Lock()
	r.objects[i.Key], r.owners[id] = s, i.Key
	r.mu.Unlock()
	r.Need(i)
}

func (r *rig) use(master int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.master = master
}

// key is the ID of the key that a tunnel has.
func (r *rig) key(id uint32) uint8 {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.objects[r.owners[id]].Keys.Of(id)
	if len(k) == 0 {
		return 0
	}
	return k[0].ID
}

// takeFetches returns how often keys were asked for since the last call.
func (r *rig) takeFetches() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.fetched
	r.fetched = 0
	return n
}

// Get implements Target.
func (r *rig) Get(key intent.Key) (apply.State, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.objects[key]
	return s, ok
}

// SetKeys implements Target.
func (r *rig) SetKeys(key intent.Key, keys intent.Keys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.objects[key]
	s.Keys = keys
	r.objects[key] = s
}

// Owner implements Target.
func (r *rig) Owner(tunnel uint32) (intent.Key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key, ok := r.owners[tunnel]
	return key, ok
}

// wait lets time pass, and what is due then happen.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// Keys are fetched when there are none, when they come from disk, after a while, and
// for a suspicion at once, but not for each.
func TestWhenKeysAreFetched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.add(1, 0)
		wait(0)
		if r.key(1) != 1 {
			t.Error("a tunnel without a key gets none")
		}
		r.use(2)
		r.add(2, 1)
		wait(0)
		if r.key(2) != 2 {
			t.Error("what was on disk is not fetched anew")
		}
		r.takeFetches()

		for range 100 {
			r.Suspect(1)
			r.Suspect(77)
		}
		wait(time.Second)
		if n := r.takeFetches(); r.key(1) != 2 || n != 1 {
			t.Errorf("after 100 suspicions key %d, and %d fetches", r.key(1), n)
		}
		r.use(3)
		r.Suspect(1)
		wait(suspectPause - 2*time.Second)
		if n := r.takeFetches(); n != 0 {
			t.Errorf("%d fetches within the pause", n)
		}
		wait(time.Second)
		r.Suspect(1)
		wait(0)
		if r.key(1) != 3 || r.key(2) != 2 {
			t.Errorf("after the pause keys %d and %d", r.key(1), r.key(2))
		}
		wait(Refresh)
		if r.key(2) != 3 {
			t.Error("without a reason keys are never fetched again")
		}
		r.takeFetches()
		wait(10 * Refresh)
		if n := r.takeFetches(); n < 20 || n > 26 {
			t.Errorf("%d fetches for two objects in ten times the usual time", n)
		}
	})
}

// Neither a start with many tunnels nor suspicions of all of them flood the API.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		const tunnels = 1000
		for id := range uint32(tunnels) {
			r.add(id+1, 1)
		}
		wait(time.Second)
		if n := r.takeFetches(); n < burst || n > burst+2*pace {
			t.Errorf("%d fetches in the first second", n)
		}
		wait(tunnels / pace * time.Second)
		if n := r.takeFetches(); n < tunnels-burst-2*pace || n > tunnels-burst {
			t.Errorf("%d fetches after that", n)
		}
		for range 10 {
			for id := range uint32(tunnels) {
				r.Suspect(id + 1)
				synctest.Wait()
			}
		}
		wait(time.Second)
		if n := r.takeFetches(); n > burst+pace {
			t.Errorf("%d fetches for suspicions", n)
		}
	})
}

// What fails is told, and tried again.
func TestFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		odd := errors.New("odd")
		r.mu.Lock()
		r.fails = odd
		r.mu.Unlock()
		r.add(1, 0)
		wait(time.Second)
		if err := r.Err(); !errors.Is(err, odd) {
			t.Errorf("it says %v", err)
		}
		r.mu.Lock()
		r.fails = nil
		r.mu.Unlock()
		wait(time.Minute)
		if err := r.Err(); err != nil || r.key(1) != 1 {
			t.Errorf("it says %v, and the key is %d", err, r.key(1))
		}
	})
}

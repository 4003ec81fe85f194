// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/apis/example"
	"k8s.io/apiserver/pkg/storage"
	clocktesting "k8s.io/utils/clock/testing"
)

const testCooling = 5 * time.Minute

// coolServer is a server on which released addresses cool down.
type coolServer struct {
	storage.Interface
	b *Backend
}

func newCoolServer(t testing.TB, prefix, addresses string, clock *clocktesting.FakePassiveClock) *coolServer {
	t.Helper()
	b := newTestBackend(t, prefix)
	b.cooling, b.clock = testCooling, clock
	pool := pool(t, addresses)
	rules := &idRules{space: TunnelIDs, pool: pool}
	return &coolServer{storeFor(t, b, "pods", rules), b}
}

func newClock() *clocktesting.FakePassiveClock {
	return clocktesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0))
}

func (s *coolServer) create(t testing.TB, namespace, name, address string) (*example.Pod, error) {
	p := pod(name, addressAnnotation, address)
	p.Namespace, p.UID = namespace, uuid.NewUUID()
	out := &example.Pod{}
	return out, s.Create(t.Context(), "/pods/"+namespace+"/"+name, p, out, 0)
}

func (s *coolServer) want(t testing.TB, namespace, name, address, got string) {
	t.Helper()
	p, err := s.create(t, namespace, name, address)
	if err != nil || p.Annotations[addressAnnotation] != got {
		t.Errorf("%s/%s: got %s, %v, want %s", namespace, name, p.Annotations[addressAnnotation], err, got)
	}
}

// refused checks that an address is refused since it cools down, and until when.
func (s *coolServer) refused(t testing.TB, namespace, name, address string, until time.Time) {
	t.Helper()
	p, err := s.create(t, namespace, name, address)
	cooling, ok := errors.AsType[*CoolingError](err)
	if !ok || !cooling.Until.Equal(until) {
		t.Errorf("%s/%s: got %s, %v, want that it cools until %s", namespace, name, p.Annotations[addressAnnotation], err, until)
	}
}

func (s *coolServer) delete(t testing.TB, namespace, name string) error {
	return s.Delete(t.Context(), "/pods/"+namespace+"/"+name, &example.Pod{}, nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{})
}

func (s *coolServer) mustDelete(t testing.TB, namespace, name string) {
	t.Helper()
	if err := s.delete(t, namespace, name); err != nil {
		t.Fatal(err)
	}
}

func (s *coolServer) coolingKeys(t testing.TB) int {
	t.Helper()
	n := 0
	for k := range dump(t, s.b) {
		if strings.Contains(k, "/.claims/"+coolingFolder) {
			n++
		}
	}
	return n
}

func TestReleasedAddressesCool(t *testing.T) {
	for _, addresses := range []string{"192.0.2.0-192.0.2.3", "2001:db8::-2001:db8::3"} {
		t.Run(addresses, func(t *testing.T) {
			prefix, clock := newPrefix(), newClock()
			this, other := newCoolServer(t, prefix, addresses, clock), newCoolServer(t, prefix, addresses, clock)
			at := func(n uint64) netip.Addr { return addressAt(pool(t, addresses), n) }
			first := at(0).String()
			this.want(t, "a", "one", "any", first)
			this.mustDelete(t, "a", "one")
			until := clock.Now().Add(testCooling + time.Second)
			for _, s := range []*coolServer{this, other} {
				s.refused(t, "b", "x", first, until)
				// Its own account may have it back at once.
				s.want(t, "a", "one", first, first)
				if n := s.coolingKeys(t); n != 0 {
					t.Errorf("%d addresses cool down, and the one that did is in use", n)
				}
				clean(t, s.b)
				s.mustDelete(t, "a", "one")
			}
			// Another address is allocated, also when the pool begins again.
			other.want(t, "b", "one", "any", at(1).String())
			other.want(t, "b", "two", "any", at(2).String())
			other.want(t, "b", "three", "any", at(3).String())
			other.refused(t, "b", "four", "any", until)
			this.refused(t, "c", "four", "any", until)
			this.want(t, "a", "any", "any", first)
			this.mustDelete(t, "a", "any")
			clock.SetTime(until)
			this.want(t, "c", "four", "any", first)
			clean(t, this.b)
			this.mustDelete(t, "c", "four")
			clock.SetTime(until.Add(testCooling + time.Second))
			other.want(t, "b", "four", first, first)
			if n := other.coolingKeys(t); n != 0 {
				t.Errorf("%d keys are left of addresses in use", n)
			}
			clean(t, other.b)
		})
	}
}

func TestCoolingOff(t *testing.T) {
	prefix, clock := newPrefix(), newClock()
	on, off := newCoolServer(t, prefix, "192.0.2.0/31", clock), newCoolServer(t, prefix, "192.0.2.0/31", clock)
	off.b.cooling = 0
	on.want(t, "a", "one", "192.0.2.0", "192.0.2.0")
	on.mustDelete(t, "a", "one")
	off.want(t, "b", "one", "192.0.2.0", "192.0.2.0")
	clean(t, on.b)
	off.mustDelete(t, "b", "one")
	if n := on.coolingKeys(t); n != 0 {
		t.Errorf("%d addresses cool down", n)
	}
}

func TestPreviewOfCoolingAddress(t *testing.T) {
	s := newCoolServer(t, newPrefix(), "192.0.2.0/31", newClock())
	s.want(t, "a", "one", "any", "192.0.2.0")
	s.mustDelete(t, "a", "one")
	for namespace, want := range map[string]bool{"a": true, "b": false} {
		p := pod("p", addressAnnotation, "192.0.2.0")
		p.Namespace, p.UID = namespace, types.UID("u")
		if err := s.b.Preview(t.Context(), "pods", nil, p); (err == nil) != want {
			t.Errorf("%s: got %v", namespace, err)
		}
	}
}

func TestSweep(t *testing.T) {
	clock := newClock()
	s := newCoolServer(t, newPrefix(), "192.0.2.0/24", clock)
	for n := range 100 {
		s.want(t, "a", fmt.Sprint("p", n), "any", addressAt(pool(t, "192.0.2.0/24"), uint64(n)).String())
	}
	for n := range 100 {
		if n == 50 {
			clock.SetTime(clock.Now().Add(time.Minute))
		}
		s.mustDelete(t, "a", fmt.Sprint("p", n))
	}
	sweep := func(want int) {
		t.Helper()
		if next, err := s.b.sweepCooling(t.Context(), ""); err != nil || next != "" {
			t.Errorf("got %q, %v", next, err)
		}
		if n := s.coolingKeys(t); n != want {
			t.Errorf("%d keys, want %d", n, want)
		}
	}
	sweep(100)
	clock.SetTime(clock.Now().Add(testCooling - 30*time.Second))
	sweep(50)
	clock.SetTime(clock.Now().Add(time.Minute))
	sweep(0)
	clean(t, s.b)
}

func TestAuditFindsCoolingInUse(t *testing.T) {
	s := newCoolServer(t, newPrefix(), "192.0.2.0/31", newClock())
	s.want(t, "a", "one", "any", "192.0.2.0")
	for key, value := range map[string]string{
		addressKey(addr("192.0.2.0")): "b 1800000000", addressKey(addr("192.0.2.1")): "junk", "nothing": "b 1800000000",
	} {
		if _, err := s.b.client.Put(t.Context(), s.b.layout.root+coolingFolder+key, value); err != nil {
			t.Fatal(err)
		}
	}
	r, err := s.b.Audit(t.Context())
	if err != nil || len(r.Problems) != 3 {
		t.Fatalf("got %+v, %v", r, err)
	}
	for _, p := range r.Problems {
		if p.Type != Misplaced {
			t.Errorf("got %+v", p)
		}
	}
}

// TestAddressesNeverSwitchOwnerEarly runs creators and deleters of several accounts on
// two servers, and then looks at all that etcd had: within a cooling period no address
// comes to another account than the one that had it.
func TestAddressesNeverSwitchOwnerEarly(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			prefix, clock := newPrefix(), newClock()
			events := record(t, prefix)
			servers := []*coolServer{newCoolServer(t, prefix, "192.0.2.0/28", clock), newCoolServer(t, prefix, "192.0.2.0/28", clock)}
			const rounds = 4
			for range rounds {
				var wg sync.WaitGroup
				for worker := range 6 {
					r := rand.New(rand.NewPCG(seed, uint64(worker)))
					s := servers[worker%2]
					wg.Go(func() {
						for range 40 {
							namespace, name := fmt.Sprint("ns", r.IntN(3)), fmt.Sprint("p", r.IntN(6))
							var err error
							switch n := r.IntN(10); {
							case n < 4:
								err = s.delete(t, namespace, name)
							case n < 6:
								_, err = s.create(t, namespace, name, fmt.Sprint("192.0.2.", r.IntN(16)))
							default:
								_, err = s.create(t, namespace, name, "any")
							}
							if _, cooling := errors.AsType[*CoolingError](err); !cooling && !expected(err) && !strings.Contains(err.Error(), "no address is left") {
								t.Error(err)
							}
						}
					})
				}
				wg.Wait()
				clean(t, servers[0].b)
				clock.SetTime(clock.Now().Add(testCooling + 2*time.Second))
				if _, err := servers[0].b.client.Put(t.Context(), prefix+"/round", ""); err != nil {
					t.Fatal(err)
				}
			}
			last, switched := map[string]string{}, 0
			for _, revision := range events() {
				for _, e := range revision {
					k := strings.TrimPrefix(string(e.Kv.Key), prefix)
					if k == "/round" {
						// What nobody holds now has cooled down.
						for k, v := range last {
							last[k] = strings.TrimSuffix(v, " released")
							if v != last[k] {
								delete(last, k)
								switched++
							}
						}
					}
					if !strings.HasPrefix(k, "/.claims/v1/address/") {
						continue
					}
					if e.Type == mvccpb.Event_DELETE {
						last[k] += " released"
						continue
					}
					holder := strings.Split(string(e.Kv.Value), "/")[1]
					if before, ok := last[k]; ok && strings.TrimSuffix(before, " released") != holder {
						t.Errorf("revision %d: %s goes from %s to %s", e.Kv.ModRevision, k, before, holder)
					}
					last[k] = holder
				}
			}
			t.Logf("%d addresses cooled down", switched)
		})
	}
}

// TestRestoredAddresses: what is free in a snapshot may have been in use when it was
// restored.
func TestRestoredAddresses(t *testing.T) {
	prefix, clock := newPrefix(), newClock()
	s := newCoolServer(t, prefix, "192.0.2.0/28", clock)
	// The pool is one that an object declares.
	prefixes := storeFor(t, s.b, "prefixes", &funcRules{claims: func(*example.Pod) *Set {
		set := &Set{}
		set.AddPool(pool(t, "192.0.2.0/28"))
		return set
	}})
	mustCreate(t, prefixes, "prefixes", pod("p"))
	s.want(t, "a", "one", "any", "192.0.2.0")
	s.want(t, "a", "two", "any", "192.0.2.1")
	s.mustDelete(t, "a", "one")
	if _, err := s.b.client.Put(t.Context(), s.b.layout.schema(), MarkRestored(SchemaVersion)); err != nil {
		t.Fatal(err)
	}
	// Until somebody has seen to it, nobody writes.
	if _, err := s.create(t, "a", "x", "any"); err == nil || !strings.Contains(err.Error(), "restored") {
		t.Errorf("got %v", err)
	}
	other := newCoolServer(t, prefix, "192.0.2.0/28", clock)
	other.b.clock = clock
	// The mark went when the server connected, by the real clock; set the time by it.
	r := other.b.restored.Load()
	clock.SetTime(time.Unix(r.At, 0))
	if err := s.b.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	until := time.Unix(r.At, 0).Add(testCooling + time.Second)
	for _, server := range []*coolServer{s, other} {
		server.refused(t, "b", "x", "192.0.2.0", until)
		server.refused(t, "b", "x", "192.0.2.5", until)
	}
	// Half of those that were never used can be had at once. 192.0.2.2 and 3 were
	// reserved by the server that assigned 1.
	position := r.Pools[0].Unused
	if position < 9 || position > 10 {
		t.Errorf("%d addresses are thought to have been used", position)
	}
	for n := position; n < 16; n++ {
		s.want(t, "b", fmt.Sprint("new", n), "any", fmt.Sprint("192.0.2.", n))
	}
	s.refused(t, "b", "x", "any", until)
	clock.SetTime(until)
	if _, err := other.create(t, "b", "x", "any"); err != nil {
		t.Error(err)
	}
	clean(t, s.b)
}

func TestRestoredIDs(t *testing.T) {
	prefix := newPrefix()
	b := newTestBackend(t, prefix)
	expectNumbers(t, take(t, b, TunnelIDs, 3), 1, 2, 3)
	service := ServiceIDs(testAccount)
	restore := func() *Backend {
		t.Helper()
		if _, err := b.client.Put(t.Context(), b.layout.schema(), MarkRestored(SchemaVersion)); err != nil {
			t.Fatal(err)
		}
		next := newTestBackend(t, prefix)
		if found, err := next.schema(t.Context()); err != nil || found != SchemaVersion {
			t.Errorf("got %q, %v", found, err)
		}
		return next
	}
	next := restore()
	got := take(t, next, TunnelIDs, 2)
	if got[0].claim.number != restoreAdvance+17 {
		t.Errorf("after a restore the first ID is %d", got[0].claim.number)
	}
	// An ID range without a cursor does not begin at 1 either.
	if got := take(t, next, service, 1); got[0].claim.number != restoreAdvance+1 {
		t.Errorf("after a restore the first service ID is %d", got[0].claim.number)
	}
	next = restore()
	if got := take(t, next, GroupIDs, 1); got[0].claim.number != 2*restoreAdvance+1 {
		t.Errorf("after two restores the first group ID is %d", got[0].claim.number)
	}
	if got := take(t, next, service, 1); got[0].claim.number < 2*restoreAdvance+2 {
		t.Errorf("after two restores the next service ID is %d", got[0].claim.number)
	}
}

// TestFinishRestoreAtOnce: servers that start together on restored data.
func TestFinishRestoreAtOnce(t *testing.T) {
	prefix := newPrefix()
	b := newTestBackend(t, prefix)
	take(t, b, TunnelIDs, 1)
	if _, err := b.client.Put(t.Context(), b.layout.schema(), MarkRestored(SchemaVersion)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		other := newBackend(newKubeClient(t, etcdEndpoint), prefix)
		wg.Go(func() {
			if err := other.claimSchema(t.Context(), prefix); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	resp, err := b.client.Get(t.Context(), b.layout.cursor(TunnelIDs))
	if err != nil {
		t.Fatal(err)
	}
	if p, err := parsePosition(resp.Kvs[0].Value); err != nil || p < restoreAdvance || p > 5*restoreAdvance {
		t.Errorf("the cursor is at %d, %v", p, err)
	}
	if resp, err := b.client.Get(t.Context(), b.layout.schema(), clientv3.WithSerializable()); err != nil || string(resp.Kvs[0].Value) != SchemaVersion {
		t.Errorf("got %v, %v", resp, err)
	}
}

// wrappedRules are Rules around others, as an account's limits are.
type wrappedRules struct{ Rules }

func (w wrappedRules) Unwrap() Rules { return w.Rules }

// coolingWords are Rules with words of their own for an address that cools down.
type coolingWords struct{ Rules }

var errCoolingWords = errors.New("it was in use a short time ago")

func (coolingWords) Cooling(runtime.Object, Claim, time.Time) error { return errCoolingWords }

func TestRulesWordCoolingAddresses(t *testing.T) {
	for name, rules := range map[string]Rules{"bare": coolingWords{&idRules{}}, "wrapped": wrappedRules{coolingWords{&idRules{}}}} {
		b := newTestBackend(t, newPrefix())
		b.cooling = testCooling
		s := &coolServer{storeFor(t, b, "pods", rules), b}
		s.want(t, "a", "one", "192.0.2.1", "192.0.2.1")
		s.mustDelete(t, "a", "one")
		if _, err := s.create(t, "b", "two", "192.0.2.1"); !errors.Is(err, errCoolingWords) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

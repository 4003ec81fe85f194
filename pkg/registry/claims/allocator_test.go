// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/acnodal/epic/pkg/registry/claims/internal/cursor"
)

// testSpace is a space of the given size with short blocks.
func testSpace(size uint64) Space {
	return Space{name: "tunnel", size: size, minBlock: 1, maxBlock: 4, turns: true}
}

func take(t testing.TB, b *Backend, s Space, n int) []grant {
	t.Helper()
	gs, _, err := b.allocator.take(t.Context(), s, n)
	if err != nil {
		t.Fatal(err)
	}
	return gs
}

func numbers(gs []grant) []uint64 {
	out := make([]uint64, 0, len(gs))
	for _, g := range gs {
		out = append(out, g.claim.number)
	}
	return out
}

func expectNumbers(t testing.TB, got []grant, want ...uint64) {
	t.Helper()
	if !slices.Equal(numbers(got), want) {
		t.Errorf("got %v, want %v", numbers(got), want)
	}
}

// hold puts a claim into etcd as if an object had it.
func hold(t testing.TB, b *Backend, claims ...Claim) {
	t.Helper()
	for _, c := range claims {
		if _, err := b.client.Put(t.Context(), b.layout.claim(c), "pods/ns/other/uid"); err != nil {
			t.Fatal(err)
		}
	}
}

func holdNumbers(t testing.TB, b *Backend, s Space, ns ...uint64) {
	t.Helper()
	for _, n := range ns {
		hold(t, b, Claim{kind: s.name, number: n})
	}
}

func position(t testing.TB, b *Backend, s Space) uint64 {
	t.Helper()
	resp, err := b.client.Get(t.Context(), b.layout.cursor(s))
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Kvs) == 0 {
		return 0
	}
	p, err := parsePosition(resp.Kvs[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// holds reports whether the conditions of a write are met now.
func holds(t testing.TB, b *Backend, conds []condition) error {
	t.Helper()
	p := newPlan(b, true, true)
	p.conditions = conds
	return p.check(t.Context())
}

func TestTakeInOrder(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	for _, s := range []Space{TunnelIDs, GroupIDs, ServiceIDs(Ref{"accounts", "ns", "a"}), testSpace(100)} {
		if s.name == "tunnel" && s.size == 100 {
			s.name = "tunnel/small"
		}
		expectNumbers(t, take(t, b, s, 1), 1)
		expectNumbers(t, take(t, b, s, 2), 2, 3)
		expectNumbers(t, take(t, b, s, 20), 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23)
		expectNumbers(t, take(t, b, s, 1), 24)
	}
}

func TestBlocksGrowWhileTheyAreUsedUpQuickly(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	b.allocator.Clock = clock
	s := testSpace(1000)
	s.maxBlock = 64
	var sizes []uint64
	next := func() {
		before := position(t, b, s)
		for position(t, b, s) == before {
			take(t, b, s, 1)
		}
		sizes = append(sizes, position(t, b, s)-before)
	}
	for range 6 {
		next()
		clock.SetTime(clock.Now().Add(cursor.Quick + 1))
	}
	for range 4 {
		next()
	}
	clock.SetTime(clock.Now().Add(cursor.Quick + 1))
	next()
	if want := []uint64{1, 2, 4, 8, 16, 16, 16, 32, 64, 64, 16}; !slices.Equal(sizes, want) {
		t.Errorf("blocks of %v, want %v", sizes, want)
	}
}

func TestNumbersInUseAreSkipped(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := testSpace(10)
	holdNumbers(t, b, s, 1, 2, 5, 10)
	var got []uint64
	for range 6 {
		got = append(got, numbers(take(t, b, s, 1))...)
	}
	if want := []uint64{3, 4, 6, 7, 8, 9}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSpaceBeginsAgain(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := testSpace(5)
	expectNumbers(t, take(t, b, s, 3), 1, 2, 3)
	holdNumbers(t, b, s, 2)
	// Of what nobody holds by now, 4 and 5 have not had their turn.
	for _, want := range []uint64{4, 5, 1, 3, 4, 5, 1} {
		expectNumbers(t, take(t, b, s, 1), want)
	}
}

// TestWriteOverTheEndOfASpace: a write of nearly as many numbers as there are
// may find that its first ones lapse by the reservation of its last ones. It
// gets there all the same.
func TestWriteOverTheEndOfASpace(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := testSpace(5)
	take(t, b, s, 3)
	for range 5 {
		gs, conds, err := b.allocator.take(t.Context(), s, 4)
		if err != nil {
			t.Fatal(err)
		}
		if holds(t, b, conds) != nil {
			continue
		}
		got := numbers(gs)
		slices.Sort(got)
		if len(slices.Compact(got)) != 4 {
			t.Errorf("got %v", numbers(gs))
		}
		return
	}
	t.Error("no try got numbers that can be used")
}

func TestExhaustion(t *testing.T) {
	for _, size := range []uint64{1, 2, 7, 16, 50} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := newTestBackend(t, newPrefix())
			s := testSpace(size)
			exhausted := func(n int) {
				t.Helper()
				if gs, _, err := b.allocator.take(t.Context(), s, n); !errors.Is(err, ErrExhausted) {
					t.Fatalf("got %v, %v, want exhaustion", numbers(gs), err)
				}
			}
			exhausted(int(size) + 1)
			// Whichever number is the last one free is found from any position.
			for n := uint64(1); n <= size; n++ {
				holdNumbers(t, b, s, n)
			}
			exhausted(1)
			for n := uint64(1); n <= size; n++ {
				key := b.layout.claim(Claim{kind: s.name, number: n})
				if _, err := b.client.Delete(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				expectNumbers(t, take(t, b, s, 1), n)
				holdNumbers(t, b, s, n)
				exhausted(1)
			}
		})
	}
}

func TestPoolIsHandedOutWhole(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	p := pool(t, "192.0.2.4-192.0.2.9")
	var got []string
	for {
		gs, conds, err := b.allocator.take(t.Context(), poolSpace(p), 1)
		if errors.Is(err, ErrExhausted) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(conds) > 0 {
			t.Fatal("an address needs no turn")
		}
		a, _ := gs[0].claim.Address()
		got = append(got, a.String())
		hold(t, b, gs[0].claim)
	}
	if want := []string{"192.0.2.4", "192.0.2.5", "192.0.2.6", "192.0.2.7", "192.0.2.8", "192.0.2.9"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestSparedAddresses: the ends of a pool that are not assigned are passed over at
// every turn, also where they are free, and cost no reservation of their own.
func TestSparedAddresses(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"192.0.2.1", "192.0.2.6"}, {"192.0.2.0", "192.0.2.6"}, {"192.0.2.1", "192.0.2.7"}, {"192.0.2.0", "192.0.2.7"},
	} {
		t.Run(c.from+"-"+c.to, func(t *testing.T) {
			b := newTestBackend(t, newPrefix())
			whole, part := pool(t, "192.0.2.0-192.0.2.7"), pool(t, c.from+"-"+c.to)
			first := take(t, b, partSpace(whole, part), 1)[0]
			if a, _ := first.claim.Address(); a != part.From() {
				t.Errorf("got %s first, want %s", a, part.From())
			}
			if end := position(t, b, poolSpace(whole)); end > 2 {
				t.Errorf("%d addresses are reserved for one", end)
			}
			b.allocator.giveBack([]grant{first})
			for turn := range 3 {
				seen := map[netip.Addr]bool{}
				for range poolSize(part) {
					a, _ := take(t, b, partSpace(whole, part), 1)[0].claim.Address()
					if !part.Contains(a) || seen[a] {
						t.Errorf("turn %d: got %s of %s, after %v", turn, a, part, seen)
					}
					seen[a] = true
				}
			}
			for a := part.From(); part.Contains(a); a = a.Next() {
				hold(t, b, AddressClaim(a))
			}
			if _, _, err := b.allocator.take(t.Context(), partSpace(whole, part), 1); !errors.Is(err, ErrExhausted) {
				t.Errorf("all are in use: %v", err)
			}
		})
	}
}

// TestLargePool: a /64 costs nothing.
func TestLargePool(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	p := pool(t, "2001:db8::/64")
	for _, want := range []string{"2001:db8::", "2001:db8::1", "2001:db8::2"} {
		if a, _ := take(t, b, poolSpace(p), 1)[0].claim.Address(); a.String() != want {
			t.Errorf("got %s, want %s", a, want)
		}
	}
}

// TestFragments: a write of many numbers does not take them in more pieces than
// its transaction has room for.
func TestFragments(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := Space{name: "tunnel", size: MaxID, minBlock: 4096, maxBlock: 4096, turns: true}
	var puts []clientv3.Op
	flush := func() {
		if _, err := b.client.Txn(t.Context()).Then(puts...).Commit(); err != nil {
			t.Fatal(err)
		}
		puts = nil
	}
	for n := uint64(2); n <= 4096; n += 2 {
		puts = append(puts, clientv3.OpPut(b.layout.claim(Claim{kind: s.name, number: n}), "pods/ns/other/uid"))
		if len(puts) == 128 {
			flush()
		}
	}
	gs := take(t, b, s, 1024)
	cs := make([]Claim, len(gs))
	for i, g := range gs {
		cs[i] = g.claim
	}
	if n := len(runs(cs)); n > cursor.MaxRuns {
		t.Errorf("%d numbers are in %d pieces", len(cs), n)
	}
	if !slices.IsSorted(numbers(gs)) {
		t.Error("the numbers are not in order")
	}
}

func TestGiveBack(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	s := Space{name: "tunnel", size: MaxID, minBlock: 4, maxBlock: 4, turns: true}
	first := take(t, b, s, 2)
	b.allocator.giveBack(first)
	expectNumbers(t, take(t, b, s, 2), 1, 2)
	// A block that is used up takes them back too.
	rest := take(t, b, s, 2)
	b.allocator.giveBack(rest)
	expectNumbers(t, take(t, b, s, 2), 3, 4)
	// Others were served in between: the numbers stay unused for this turn.
	early := take(t, b, s, 1)
	take(t, b, s, 1)
	b.allocator.giveBack(early)
	expectNumbers(t, take(t, b, s, 1), 7)
	// The cursor was deleted and made again: the number is another's.
	late := take(t, b, s, 1)
	if _, err := b.client.Delete(t.Context(), b.layout.cursor(s)); err != nil {
		t.Fatal(err)
	}
	take(t, b, s, 7) // 1 to 7 of the next cursor
	expectNumbers(t, take(t, b, s, 1), 8)
	b.allocator.giveBack(late) // 8 of the one before
	if got := take(t, b, s, 1)[0].claim.number; got <= 8 {
		t.Errorf("%d was handed out twice", got)
	}
}

func TestCloseReturnsWhatIsLeft(t *testing.T) {
	prefix := newPrefix()
	s := Space{name: "tunnel", size: MaxID, minBlock: 16, maxBlock: 16, turns: true}
	for _, want := range []uint64{1, 2, 3} {
		b := newTestBackend(t, prefix)
		expectNumbers(t, take(t, b, s, 1), want)
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
	// Nothing is returned under another server's block.
	a, b := newTestBackend(t, prefix), newTestBackend(t, prefix)
	expectNumbers(t, take(t, a, s, 1), 4)
	expectNumbers(t, take(t, b, s, 1), 20)
	if err := a.allocator.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := position(t, b, s); got != 35 {
		t.Errorf("the cursor is at %d, want 35", got)
	}
	if err := b.allocator.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := position(t, b, s); got != 20 {
		t.Errorf("the cursor is at %d, want 20", got)
	}
}

func TestServersNeverHandOutOneNumberInOneTurn(t *testing.T) {
	prefix := newPrefix()
	s := Space{name: "tunnel", size: 5000, minBlock: 1, maxBlock: 16, turns: true}
	var mu sync.Mutex
	seen := map[uint64]int{}
	var wg sync.WaitGroup
	for server := range 2 {
		b := newTestBackend(t, prefix)
		for worker := range 4 {
			wg.Go(func() {
				for i := range 100 {
					gs, _, err := b.allocator.take(t.Context(), s, 1+(i+worker+server)%7)
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, g := range gs {
						seen[g.position]++
					}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	for position, n := range seen {
		if n > 1 {
			t.Errorf("position %d was handed out %d times", position, n)
		}
	}
	if len(seen) < 3000 {
		t.Errorf("only %d positions were handed out", len(seen))
	}
}

// TestLapsedBlock: a server that slept on its block while the others went round
// the whole space must not use it.
func TestLapsedBlock(t *testing.T) {
	prefix := newPrefix()
	s := Space{name: "tunnel", size: 10, minBlock: 5, maxBlock: 5, turns: true}
	sleepy, busy := newTestBackend(t, prefix), newTestBackend(t, prefix)
	gs, conds, err := sleepy.allocator.take(t.Context(), s, 1)
	if err != nil {
		t.Fatal(err)
	}
	expectNumbers(t, gs, 1)
	if err := holds(t, sleepy, conds); err != nil {
		t.Fatalf("a fresh number: %v", err)
	}
	// 6 to 10: the first turn ends, and 1 was reserved only once.
	expectNumbers(t, take(t, busy, s, 5), 6, 7, 8, 9, 10)
	if err := holds(t, sleepy, conds); err != nil {
		t.Fatalf("no number had another turn, and yet: %v", err)
	}
	// 1 of the next turn, and only that.
	s.minBlock, s.maxBlock = 1, 1
	expectNumbers(t, take(t, busy, s, 1), 1)
	var stale *staleError
	if err := holds(t, sleepy, conds); !errors.As(err, &stale) || !stale.spent {
		t.Fatalf("1 was handed out again meanwhile, and yet: %v", err)
	}
	// The rest of the block is forgotten with it.
	expectNumbers(t, take(t, sleepy, s, 1), 2)
}

func TestDeletedCursor(t *testing.T) {
	prefix := newPrefix()
	s := Space{name: "service/x", size: MaxID, minBlock: 8, maxBlock: 8, turns: true}
	a, b := newTestBackend(t, prefix), newTestBackend(t, prefix)
	_, conds, err := a.allocator.take(t.Context(), s, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.client.Delete(t.Context(), a.layout.cursor(s)); err != nil {
		t.Fatal(err)
	}
	var stale *staleError
	if err := holds(t, a, conds); !errors.As(err, &stale) {
		t.Errorf("the cursor is gone, and yet: %v", err)
	}
	// The next owner of the name begins at 1, also on the server that knew the
	// one before.
	expectNumbers(t, take(t, b, s, 1), 1)
	if err := holds(t, a, conds); !errors.As(err, &stale) {
		t.Errorf("the cursor is another, and yet: %v", err)
	}
	expectNumbers(t, take(t, a, s, 1), 9)
}

// TestReserveWithUnknownResult: a reservation of which the server does not know
// whether it happened costs numbers, and never hands one out twice.
func TestReserveWithUnknownResult(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	f := breakEtcd(b)
	b.allocator.client = b.client
	s := Space{name: "tunnel", size: MaxID, minBlock: 4, maxBlock: 4, turns: true}
	f.set(nil, func(*clientv3.TxnResponse, error) (*clientv3.TxnResponse, error) {
		return nil, context.DeadlineExceeded
	})
	if _, _, err := b.allocator.take(t.Context(), s, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	f.set(nil, nil)
	expectNumbers(t, take(t, b, s, 1), 5)
}

func TestTakeEndsWithItsContext(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := b.allocator.take(ctx, TunnelIDs, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	expectNumbers(t, take(t, b, TunnelIDs, 1), 1)
}

func TestIdleBlocksAreDropped(t *testing.T) {
	b := newTestBackend(t, newPrefix())
	clock := clocktesting.NewFakePassiveClock(time.Unix(1000, 0))
	b.allocator.Clock, b.allocator.Most = clock, 3
	space := func(n int) Space {
		return Space{name: fmt.Sprint("service/", n), size: MaxID, minBlock: 4, maxBlock: 4, turns: true}
	}
	for n := range 3 {
		take(t, b, space(n), 1)
	}
	clock.SetTime(clock.Now().Add(cursor.Idle))
	take(t, b, space(1), 1)
	clock.SetTime(clock.Now().Add(time.Second))
	take(t, b, space(3), 1)
	if n := b.allocator.Len(); n != 2 {
		t.Errorf("%d blocks are kept, want those of 1 and 3", n)
	}
	expectNumbers(t, take(t, b, space(1), 1), 3)
	// The rest of the block that was dropped is skipped.
	expectNumbers(t, take(t, b, space(0), 1), 5)
}

func TestNumberOf(t *testing.T) {
	for key, want := range map[string]uint64{"/x/place/y/00000000000000000012": 12, "/x/place/y/": 0, "/x/place/y/z": 0, "7": 7} {
		if got := numberOf([]byte(key)); got != want {
			t.Errorf("%s: got %d, want %d", key, got, want)
		}
	}
}

// TestReservationsAreShared: writes that want numbers at the same time make one
// reservation for all of them, however small blocks are to begin with.
func TestReservationsAreShared(t *testing.T) {
	const writers = 40
	b := newTestBackend(t, newPrefix())
	space := ServiceIDs(testAccount)
	faulty := breakEtcd(b)
	var reservations atomic.Int64
	faulty.set(func() {
		if reservations.Add(1) > 1 {
			return
		}
		// The first one waits until all others have come.
		for b.allocator.Wanted(space.name) < writers {
			time.Sleep(time.Millisecond)
		}
	}, nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got []uint64
	for range writers {
		wg.Go(func() {
			grants, _, err := b.allocator.take(t.Context(), space, 1)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, grants[0].claim.number)
		})
	}
	wg.Wait()
	slices.Sort(got)
	for i, n := range got {
		if n != uint64(i+1) {
			t.Fatalf("got %v", got)
		}
	}
	if n := reservations.Load(); n > 2 {
		t.Errorf("%d reservations for %d numbers", n, writers)
	}
	if n := b.allocator.Wanted(space.name); n != 0 {
		t.Errorf("%d numbers are still wanted", n)
	}
	// Nobody waits anymore: the next blocks are small again.
	before := position(t, b, space)
	if _, _, err := b.allocator.take(t.Context(), space, 1); err != nil {
		t.Fatal(err)
	}
	if size := position(t, b, space) - before; size > cursor.Calm {
		t.Errorf("a block of %d for one number", size)
	}
}

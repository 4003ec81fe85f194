// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/apis/example"

	"github.com/acnodal/epic/pkg/addresspool"
)

// memberRules give each pod a slot of its parent's quota, one ID and an address.
func memberRules(limit int32, pool addresspool.Pool) *funcRules {
	account := Ref{Resource: "parents", Namespace: "ns", Name: "account"}
	space := ServiceIDs(account)
	return &funcRules{
		claims: func(p *example.Pod) *Set {
			s := (&idRules{space: space}).Claims(p)
			n, _ := strconv.ParseInt(p.Annotations["place"], 10, 32)
			s.AddSlot(account, int32(n))
			s.AddParent(account, string(p.UID))
			return s
		},
		plan: func(ctx context.Context, p *Plan, old, obj *example.Pod) error {
			if old != nil {
				return nil
			}
			objs, err := p.Read(ctx, account)
			if err != nil {
				return err
			}
			if objs[0] == nil {
				return apierrors.NewBadRequest("there is no account")
			}
			p.DependOnContent(account)
			place, err := p.PickSlot(ctx, account, limit)
			if errors.Is(err, ErrExhausted) {
				return apierrors.NewForbidden(schema.GroupResource{}, obj.Name, err)
			}
			if err != nil {
				return err
			}
			obj.Annotations["place"] = fmt.Sprint(place)
			got, err := p.AssignIDs(ctx, space, 1)
			if err != nil {
				return err
			}
			setIDs(obj, got)
			address, err := p.PickAddress(ctx, pool, pool)
			if err != nil {
				return err
			}
			obj.Annotations[addressAnnotation] = address.String()
			return nil
		},
	}
}

// TestCreationsAtOnce: creations that come at once in an account that the server has
// not seen cost etcd hardly more than a transaction each, also where they take every
// slot of the quota.
func TestCreationsAtOnce(t *testing.T) {
	const writers = 60
	prefix := newPrefix()
	mustCreate(t, storeFor(t, newTestBackend(t, prefix), "parents", &idRules{}), "parents", pod("account"))
	b := newTestBackend(t, prefix)
	storeFor(t, b, "parents", &idRules{})
	pool, err := addresspool.Parse("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	s := storeFor(t, b, "pods", memberRules(writers, pool))
	again, old, requests := retriesSince(t), outdatedSince(t), countRequests(b)
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			if _, err := create(t.Context(), s, "pods", pod(fmt.Sprint("p", i))); err != nil {
				t.Errorf("pod %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := again() + old(); n != 0 {
		t.Errorf("%v plans were made again", n)
	}
	// Besides the transactions there are two reads, and reservations of blocks of numbers,
	// which grow.
	if n := requests(); n > writers+writers/2 {
		t.Errorf("%d creations sent etcd %d requests", writers, n)
	}
	if _, err := create(t.Context(), s, "pods", pod("beyond")); !apierrors.IsForbidden(err) {
		t.Errorf("one more than the quota allows: %v", err)
	}
	clean(t, b)
}

func slotRef(name string) Ref {
	return Ref{Resource: "accounts", Namespace: "epic-" + name, Name: name}
}

func takeSlot(t *testing.T, m *slotMemory, account Ref, mod int64, limit int32) (uint64, bool) {
	t.Helper()
	slot, ok, err := m.take(t.Context(), account, mod, limit)
	if err != nil {
		t.Fatal(err)
	}
	return slot, ok
}

func readSlots(m *slotMemory, account Ref, mod int64, limit int32, free ...uint64) {
	r := m.read(account, true)
	defer r.end()
	r.remember(mod, limit, slices.Clone(free))
}

func TestSlotsAreTakenOnce(t *testing.T) {
	m, account := newSlotMemory(), slotRef("a")
	if slot, ok := takeSlot(t, m, account, 7, 3); ok {
		t.Errorf("slot %d of an account of which nothing is known", slot)
	}
	readSlots(m, account, 7, 3, 1, 2, 3)
	for _, other := range []struct {
		account Ref
		mod     int64
		limit   int32
	}{{slotRef("b"), 7, 3}, {account, 8, 3}, {account, 7, 4}} {
		if slot, ok := takeSlot(t, m, other.account, other.mod, other.limit); ok {
			t.Errorf("%v: slot %d", other, slot)
		}
	}
	var got []uint64
	for range 3 {
		slot, ok := takeSlot(t, m, account, 7, 3)
		if !ok {
			t.Fatal("no slot is left")
		}
		got = append(got, slot)
	}
	slices.Sort(got)
	if !slices.Equal(got, []uint64{1, 2, 3}) {
		t.Errorf("got %v", got)
	}
	if slot, ok := takeSlot(t, m, account, 7, 3); ok {
		t.Errorf("slot %d twice", slot)
	}
	// What a write did not use goes to the next.
	m.giveBack(&pickedSlot{account: account, mod: 7, limit: 3, slot: 2})
	if slot, ok := takeSlot(t, m, account, 7, 3); !ok || slot != 2 {
		t.Errorf("got %d, %v, want 2", slot, ok)
	}
	// A slot that was taken for an earlier version of the account does not.
	m.giveBack(&pickedSlot{account: account, mod: 6, limit: 3, slot: 1})
	if slot, ok := takeSlot(t, m, account, 7, 3); ok {
		t.Errorf("slot %d of another version of the account", slot)
	}
}

// TestSlotsInFlight: a read that shows a slot as free which a write is taking, or has
// taken since the read began, does not make the next write take it.
func TestSlotsInFlight(t *testing.T) {
	m, account := newSlotMemory(), slotRef("a")
	readSlots(m, account, 7, 9, 1)
	if _, ok := takeSlot(t, m, account, 7, 9); !ok {
		t.Fatal("no slot")
	}
	// In flight when the read begins and when it ends.
	readSlots(m, account, 7, 9, 1, 2)
	if slot, ok := takeSlot(t, m, account, 7, 9); !ok || slot != 2 {
		t.Errorf("got %d, %v, want 2", slot, ok)
	}
	// In flight when the read begins, and settled before it ends.
	r := m.read(account, true)
	m.settle(&pickedSlot{account: account, slot: 1})
	m.drop(&pickedSlot{account: account, slot: 2})
	if usable, busy := r.split([]uint64{1, 2, 3}); !slices.Equal(usable, []uint64{3}) || !slices.Equal(busy, []uint64{1, 2}) {
		t.Errorf("usable are %v, busy %v", usable, busy)
	}
	r.remember(7, 9, []uint64{1, 2, 3})
	r.end()
	if slot, ok := takeSlot(t, m, account, 7, 9); !ok || slot != 3 {
		t.Errorf("got %d, %v, want 3", slot, ok)
	}
	// A read that begins later is believed.
	readSlots(m, account, 7, 9, 1)
	if slot, ok := takeSlot(t, m, account, 7, 9); !ok || slot != 1 {
		t.Errorf("got %d, %v, want 1", slot, ok)
	}
	// Where there is nothing else, what is busy is better than nothing.
	r = m.read(account, false)
	defer r.end()
	if slot, ok := r.pick([]uint64{1}); !ok || slot != 1 {
		t.Errorf("got %d, %v, want 1", slot, ok)
	}
	if slot, ok := r.pick(nil); ok {
		t.Errorf("slot %d of none", slot)
	}
}

// TestSlotsShareARead: writes that need a slot wait for the read of another, and read
// themselves if that brought nothing.
func TestSlotsShareARead(t *testing.T) {
	m, account := newSlotMemory(), slotRef("a")
	r := m.read(account, true)
	type taken struct {
		slot uint64
		ok   bool
		err  error
	}
	results := make(chan taken)
	start := func(ctx context.Context) {
		go func() {
			slot, ok, err := m.take(ctx, account, 7, 9)
			results <- taken{slot, ok, err}
		}()
	}
	start(t.Context())
	start(t.Context())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	start(ended)
	if got := <-results; !errors.Is(got.err, context.Canceled) {
		t.Errorf("a write that nobody waits for any more: %+v", got)
	}
	select {
	case got := <-results:
		t.Errorf("a write did not wait: %+v", got)
	case <-time.After(20 * time.Millisecond):
	}
	r.remember(7, 9, []uint64{4})
	r.end()
	one, two := <-results, <-results
	if one.ok == two.ok || one.slot+two.slot != 4 || one.err != nil || two.err != nil {
		t.Errorf("one slot for two: %+v, %+v", one, two)
	}
	// A read that is not shared holds nobody up.
	r = m.read(account, false)
	defer r.end()
	if slot, ok := takeSlot(t, m, account, 7, 9); ok {
		t.Errorf("slot %d of none", slot)
	}
}

// TestFreePlacesGoOn: while all free slots of a window are in flight, the search continues,
// and it ends when it has seen every free one.
func TestFreePlacesGoOn(t *testing.T) {
	const limit, rounds = 4 * slotWindow, 20
	b := newTestBackend(t, newPrefix())
	kind := placeKind(testAccount)
	var puts []clientv3.Op
	flush := func() {
		if _, err := b.client.Txn(t.Context()).Then(puts...).Commit(); err != nil {
			t.Fatal(err)
		}
		puts = nil
	}
	for place := uint64(1); place <= limit; place++ {
		if place == 10 || place == 700 {
			continue
		}
		if puts = append(puts, clientv3.OpPut(b.layout.claim(Claim{kind: kind, number: place}), "pods/ns/other/uid")); len(puts) == 100 {
			flush()
		}
	}
	flush()
	windows := 0
	for range rounds {
		first, second := newPlan(b, false, true), newPlan(b, false, true)
		one, err := first.PickSlot(t.Context(), testAccount, limit)
		if err != nil {
			t.Fatal(err)
		}
		two, err := second.PickSlot(t.Context(), testAccount, limit)
		if err != nil {
			t.Fatal(err)
		}
		if one == two {
			t.Errorf("two plans have slot %d", one)
		}
		requests := countRequests(b)
		if n, err := newPlan(b, false, true).PickSlot(t.Context(), testAccount, limit); err != nil || n != one && n != two {
			t.Errorf("a third plan has slot %d: %v", n, err)
		}
		windows += requests()
		first.giveBack()
		second.giveBack()
	}
	// Where the search begins is random: in half of the cases the last window need
	// not be read.
	if windows >= rounds*limit/slotWindow {
		t.Errorf("%d windows were read in %d searches of %d", windows, rounds, limit/slotWindow)
	}
}

// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/utils/clock"

	"github.com/acnodal/epic/pkg/addresspool"
)

const (
	// quick is how fast a block must be used up for the next to grow beyond
	// calm.
	quick = time.Second

	// calm is how far blocks grow however slowly they are used up: a reservation
	// is a round trip to etcd, which most writes should not have to make. The
	// first ones of a server are smaller, so numbering starts without gaps
	// where several servers take part.
	calm = 16

	// maxRuns bounds into how many pieces the numbers of one write may fall,
	// and so the comparisons in its transaction (see maxOps).
	maxRuns = 48

	// scan is how many numbers one look for free ones covers at least, once
	// blocks turn out to be taken.
	scan = 4096

	// idle is how long a block has to lie unused to be dropped when there are
	// many: a server sees the spaces of many accounts come and go.
	idle = time.Hour
)

// allocator hands out the numbers of spaces.
//
// Each space has a cursor in etcd: the position, counted on through all turns,
// that nobody has reserved yet. A server reserves a block of positions by one
// compare-and-swap and hands them out in order from memory. Whether a number is
// really free the claim decides, in the transaction of the write that takes it:
// the cursor only keeps writers apart, so nothing is lost with a server's
// memory but the numbers of its block, until their next turn.
type allocator struct {
	b      *Backend
	client *clientv3.Client
	layout layout
	clock  clock.PassiveClock

	mu     sync.Mutex
	blocks map[string]*block
	// most is how many blocks are kept before those that lie idle are dropped.
	most int
}

// block is what this server has reserved of one space.
type block struct {
	// wanted is how many numbers writes that hold or wait for the lock want.
	wanted atomic.Int64

	mu sync.Mutex
	// free are the positions left, in order, as half-open ranges.
	free []span
	// end is one past the last position reserved.
	end uint64
	// created distinguishes the cursor from one that was deleted and made again; mod
	// is its last known revision.
	created, mod int64
	// size of the last reservation, and when it was made.
	size uint64
	at   time.Time
	// used is when a number was taken last.
	used time.Time
	// cooling is when the first of the addresses that were passed over, because they
	// cool down, can be taken.
	cooling time.Time
}

type span struct{ from, to uint64 }

// grant is one number handed out for one write.
type grant struct {
	space    Space
	position uint64
	claim    Claim
	// created is the cursor's, so the number does not go back to another.
	created int64
}

func newAllocator(b *Backend) *allocator {
	return &allocator{b: b, client: b.client, layout: b.layout, clock: clock.RealClock{}, blocks: map[string]*block{}, most: 1 << 16}
}

func (a *allocator) block(s Space) *block {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.blocks[s.name]
	if b == nil {
		if len(a.blocks) >= a.most {
			a.dropIdle()
		}
		b = &block{}
		a.blocks[s.name] = b
	}
	return b
}

// dropIdle forgets blocks that nobody has used for long. Their numbers wait for
// the next turn. Whoever still has one in hand may use it: that no number comes
// twice is up to the cursor.
func (a *allocator) dropIdle() {
	for name, b := range a.blocks {
		if !b.mu.TryLock() {
			continue
		}
		old := a.clock.Since(b.used) > idle
		b.mu.Unlock()
		if old {
			delete(a.blocks, name)
		}
	}
}

// take hands out n numbers and the conditions under which a write may use them.
func (a *allocator) take(ctx context.Context, s Space, n int) ([]grant, []condition, error) {
	if uint64(n) > s.size {
		return nil, nil, ErrExhausted
	}
	b := a.block(s)
	b.wanted.Add(int64(n))
	defer b.wanted.Add(-int64(n))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used = a.clock.Now()

	got, err := a.collect(ctx, s, b, n)
	if err != nil {
		return nil, nil, err
	}
	grants := make([]grant, 0, n)
	for _, sp := range got {
		for p := sp.from; p < sp.to; p++ {
			grants = append(grants, grant{space: s, position: p, claim: s.claimAt(p), created: b.created})
		}
	}
	return grants, a.conditions(s, b, grants), nil
}

// collect takes n positions off the block, reserving more as needed. Pieces
// that are too short for a large request are passed over.
func (a *allocator) collect(ctx context.Context, s Space, b *block, n int) ([]span, error) {
	shortest := uint64((n + maxRuns - 1) / maxRuns)
	var got []span
	want := uint64(n)
	b.cooling = time.Time{}
	for scanned := uint64(0); want > 0; {
		if len(b.free) == 0 {
			if scanned >= s.size {
				if !b.cooling.IsZero() {
					return nil, &CoolingError{Until: b.cooling}
				}
				return nil, ErrExhausted
			}
			reserved, err := a.reserve(ctx, s, b, want, scanned > 0)
			if err != nil {
				return nil, err
			}
			scanned += reserved
			continue
		}
		sp := b.free[0]
		k := min(sp.to-sp.from, want)
		if k < shortest && k < want {
			b.free = b.free[1:]
			continue
		}
		got = append(got, span{sp.from, sp.from + k})
		want -= k
		if b.free[0].from += k; b.free[0].from == sp.to {
			b.free = b.free[1:]
		}
	}
	return got, nil
}

// reserve moves the cursor over the next block and keeps what is free of it.
// It returns how many positions it passed.
func (a *allocator) reserve(ctx context.Context, s Space, b *block, want uint64, searching bool) (uint64, error) {
	now := a.clock.Now()
	switch {
	case b.size == 0:
		b.size = s.minBlock
	case now.Sub(b.at) > quick:
		b.size = min(b.size*2, max(calm, s.minBlock), s.maxBlock)
	default:
		b.size = min(b.size*2, s.maxBlock)
	}
	b.at = now
	// Writes that come at once share one reservation.
	size := max(b.size, want, min(uint64(max(b.wanted.Load(), 0)), s.maxBlock))
	if searching {
		step := uint64(scan)
		if s.turns {
			// More than a turn ahead, the numbers taken before it would lapse.
			step = min(step, s.size/4)
		}
		size = max(size, step)
	}
	key := a.layout.cursor(s)
	for {
		// The block ends with the turn, so its claims are one range.
		if b.end == 0 && b.mod == 0 && s.pool == nil {
			b.end = a.b.restored.Load().base()
		}
		from, mod := b.end, b.mod
		to := min(from+size, (from/s.size+1)*s.size)
		if s.spares(from) && to%s.size != 0 {
			to++
		}
		first, end := a.claimRange(s, from, to)
		then := []clientv3.Op{clientv3.OpPut(key, formatPosition(to)), clientv3.OpGet(first, clientv3.WithRange(end), clientv3.WithKeysOnly()), clientv3.OpGet(key)}
		if s.pool != nil {
			passed := addresspool.Between(addressAt(*s.pool, from%s.size), addressAt(*s.pool, (to-1)%s.size))
			first, end := poolCoolingKeys(a.layout, passed)
			then = append(then, clientv3.OpGet(first, clientv3.WithRange(end)))
		}
		resp, err := a.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", mod)).
			Then(then...).
			Else(clientv3.OpGet(key)).
			Commit()
		if err != nil {
			return 0, fmt.Errorf("reserve numbers of %s: %w", s.name, err)
		}
		if !resp.Succeeded {
			b.free = nil
			b.end, b.created, b.mod = 0, 0, 0
			if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
				if b.end, err = parsePosition(kvs[0].Value); err != nil {
					return 0, fmt.Errorf("cursor of %s: %w", s.name, err)
				}
				b.created, b.mod = kvs[0].CreateRevision, kvs[0].ModRevision
			}
			continue
		}
		cursor := resp.Responses[2].GetResponseRange().Kvs[0]
		b.end, b.created, b.mod = to, cursor.CreateRevision, cursor.ModRevision
		used := map[string]bool{}
		for _, kv := range resp.Responses[1].GetResponseRange().Kvs {
			used[string(kv.Key)] = true
		}
		if s.pool != nil {
			if err := a.passCooling(ctx, s, b, from, to, coolingKVs(resp.Responses[3].GetResponseRange().Kvs), used); err != nil {
				return 0, err
			}
		}
		for _, position := range []uint64{from, to - 1} {
			// A pool spares only addresses at its ends, and a block ends with the turn.
			if s.spares(position) {
				used[a.layout.claim(s.claimAt(position))] = true
			}
		}
		b.free = a.freeSpans(s, from, to, used)
		return to - from, nil
	}
}

// passCooling adds the addresses that cool down to those in use, and removes the keys
// of those that have cooled down.
func (a *allocator) passCooling(ctx context.Context, s Space, b *block, from, to uint64, kvs []coolingKV, used map[string]bool) error {
	if a.b.cooling <= 0 {
		return nil
	}
	now := a.b.clock.Now()
	pass := func(address netip.Addr, until time.Time) {
		used[a.layout.claim(AddressClaim(address))] = true
		if b.cooling.IsZero() || until.Before(b.cooling) {
			b.cooling = until
		}
	}
	for _, kv := range kvs {
		if key := a.layout.claim(AddressClaim(kv.address)); now.Before(kv.until) && !used[key] {
			pass(kv.address, kv.until)
		}
	}
	if r := a.b.restored.Load(); r != nil && now.Before(time.Unix(r.At, 0).Add(a.b.cooling+time.Second)) {
		for p := from; p < to; p++ {
			address := addressAt(*s.pool, p%s.size)
			if until, ok := r.cools(address, now, a.b.cooling); ok && !used[a.layout.claim(AddressClaim(address))] {
				pass(address, until)
			}
		}
	}
	return a.b.removeCooled(ctx, kvs)
}

// forget drops all blocks. Their numbers wait for the next turn.
func (a *allocator) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.blocks = map[string]*block{}
}

// freeSpans lists the positions of [from, to) whose claims are not in use.
func (a *allocator) freeSpans(s Space, from, to uint64, used map[string]bool) []span {
	if len(used) == 0 {
		return []span{{from, to}}
	}
	var out []span
	for p := from; p < to; p++ {
		if used[a.layout.claim(s.claimAt(p))] {
			continue
		}
		if n := len(out); n > 0 && out[n-1].to == p {
			out[n-1].to++
		} else {
			out = append(out, span{p, p + 1})
		}
	}
	return out
}

func (a *allocator) claimRange(s Space, from, to uint64) (first, end string) {
	return a.layout.claim(s.claimAt(from)), a.layout.claim(s.claimAt(to-1)) + "\x00"
}

// conditions keep a server that slept on its block for a whole turn from
// handing out a number that had its next turn in the meantime, and one whose cursor
// was deleted with its owner from handing out numbers of the next.
func (a *allocator) conditions(s Space, b *block, grants []grant) []condition {
	if !s.turns {
		return nil
	}
	key, created := a.layout.cursor(s), b.created
	over := formatPosition(grants[0].position + s.size + 1)
	forget := func([]keyValue) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.created == created {
			b.free = nil
		}
		return &staleError{what: "the cursor of " + s.name + " moved", spent: true}
	}
	return []condition{{
		cmp: clientv3.Compare(clientv3.CreateRevision(key), "=", created),
		key: key,
		failed: func(kvs []keyValue) bool {
			return len(kvs) == 0 || kvs[0].create != created
		},
		err: forget,
	}, {
		cmp: clientv3.Compare(clientv3.Value(key), "<", over),
		key: key,
		failed: func(kvs []keyValue) bool {
			return len(kvs) == 0 || kvs[0].value >= over
		},
		err: forget,
	}}
}

// giveBack returns numbers that a write took and certainly did not use, if
// nobody was served after them: small gaps in the numbering puzzle people.
func (a *allocator) giveBack(grants []grant) {
	for i := len(grants) - 1; i >= 0; i-- {
		g := grants[i]
		b := a.block(g.space)
		b.mu.Lock()
		switch {
		case b.created != g.created:
		case len(b.free) > 0 && b.free[0].from == g.position+1:
			b.free[0].from--
		case len(b.free) == 0 && b.end == g.position+1:
			b.free = []span{{g.position, g.position + 1}}
		}
		b.mu.Unlock()
	}
}

// close moves cursors back over what was reserved and not handed out, where
// nobody reserved behind it.
func (a *allocator) close(ctx context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, b := range a.blocks {
		b.mu.Lock()
		free, end, mod := b.free, b.end, b.mod
		b.free = nil
		b.mu.Unlock()
		if len(free) == 0 || free[len(free)-1].to != end {
			continue
		}
		key := a.layout.cursor(Space{name: name})
		_, err := a.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", mod)).
			Then(clientv3.OpPut(key, formatPosition(free[len(free)-1].from))).
			Commit()
		if err != nil {
			return fmt.Errorf("return reserved numbers: %w", err)
		}
	}
	return nil
}

// Positions are written with all digits of a uint64, so they compare as
// strings.
func formatPosition(p uint64) string { return fmt.Sprintf("%020d", p) }

func parsePosition(v []byte) (uint64, error) { return strconv.ParseUint(string(v), 10, 64) }

// numberOf is the number at the end of a claim's key.
func numberOf(key []byte) uint64 {
	n, err := strconv.ParseUint(lastElement(string(key)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func lastElement(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

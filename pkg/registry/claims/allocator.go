// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/registry/claims/internal/cursor"
)

// allocator allocates the numbers of spaces from cursors in etcd. The cursor only keeps
// writers apart: the claim, in the transaction of the write that takes a number, decides
// whether it is really free.
type allocator struct {
	*cursor.Allocator[Space]

	b      *Backend
	client *clientv3.Client
	layout layout
}

var _ cursor.Source[Space] = &allocator{}

// grant is one number allocated for one write.
type grant struct {
	space    Space
	position uint64
	claim    Claim
	// created is the create revision of the cursor, so the number is never returned to a
	// later cursor of the same name.
	created int64
}

func newAllocator(b *Backend) *allocator {
	a := &allocator{b: b, client: b.client, layout: b.layout}
	a.Allocator = cursor.New(a)
	return a
}

// take allocates n numbers. It returns them with the conditions under which a write may
// use them.
func (a *allocator) take(ctx context.Context, s Space, n int) ([]grant, []condition, error) {
	got, created, err := a.Take(ctx, s, n)
	var exhausted *cursor.ExhaustedError
	switch {
	case errors.As(err, &exhausted) && exhausted.Until.IsZero():
		return nil, nil, ErrExhausted
	case errors.As(err, &exhausted):
		return nil, nil, &CoolingError{Until: exhausted.Until}
	case err != nil:
		return nil, nil, err
	}
	grants := make([]grant, 0, n)
	for _, sp := range got {
		for p := sp.From; p < sp.To; p++ {
			grants = append(grants, grant{space: s, position: p, claim: s.claimAt(p), created: created})
		}
	}
	return grants, a.conditions(s, created, grants), nil
}

// First implements cursor.Source.
func (a *allocator) First(s Space) uint64 {
	if s.pool != nil {
		return 0
	}
	return a.b.restored.Load().base()
}

// Move implements cursor.Source.
func (a *allocator) Move(ctx context.Context, s Space, known cursor.Mark, to uint64) (moved cursor.Moved, err error) {
	key, from := a.layout.cursor(s), known.End
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
		If(clientv3.Compare(clientv3.ModRevision(key), "=", known.Mod)).
		Then(then...).
		Else(clientv3.OpGet(key)).
		Commit()
	if err != nil {
		return moved, fmt.Errorf("reserve numbers of %s: %w", s.name, err)
	}
	if !resp.Succeeded {
		if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
			if moved.End, err = parsePosition(kvs[0].Value); err != nil {
				return moved, fmt.Errorf("cursor of %s: %w", s.name, err)
			}
			moved.Created, moved.Mod = kvs[0].CreateRevision, kvs[0].ModRevision
		}
		return moved, nil
	}
	now := resp.Responses[2].GetResponseRange().Kvs[0]
	moved.Done, moved.Mark = true, cursor.Mark{End: to, Created: now.CreateRevision, Mod: now.ModRevision}
	used := map[string]bool{}
	for _, kv := range resp.Responses[1].GetResponseRange().Kvs {
		used[string(kv.Key)] = true
	}
	if s.pool != nil {
		if moved.Later, err = a.passCooling(ctx, s, from, to, coolingKVs(resp.Responses[3].GetResponseRange().Kvs), used); err != nil {
			return moved, err
		}
	}
	for _, position := range []uint64{from, to - 1} {
		// A pool only spares addresses at its ends, and a block never extends past the
		// end of a turn.
		if s.spares(position) {
			used[a.layout.claim(s.claimAt(position))] = true
		}
	}
	moved.Free = a.freeSpans(s, from, to, used)
	return moved, nil
}

// Return implements cursor.Source.
func (a *allocator) Return(ctx context.Context, name string, mod int64, to uint64) error {
	key := a.layout.cursor(Space{name: name})
	_, err := a.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", mod)).
		Then(clientv3.OpPut(key, formatPosition(to))).
		Commit()
	if err != nil {
		return fmt.Errorf("return reserved numbers: %w", err)
	}
	return nil
}

// passCooling adds the addresses that are cooling down to those in use, and removes the
// keys of those that have cooled down. It returns the time at which the first of them
// becomes available, or the zero time if none cools down.
func (a *allocator) passCooling(ctx context.Context, s Space, from, to uint64, kvs []coolingKV, used map[string]bool) (first time.Time, err error) {
	if a.b.cooling <= 0 {
		return first, nil
	}
	now := a.b.clock.Now()
	pass := func(address netip.Addr, until time.Time) {
		used[a.layout.claim(AddressClaim(address))] = true
		if first.IsZero() || until.Before(first) {
			first = until
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
	return first, a.b.removeCooled(ctx, kvs)
}

// freeSpans lists the positions of [from, to) whose claims are not in use.
func (a *allocator) freeSpans(s Space, from, to uint64, used map[string]bool) []cursor.Span {
	if len(used) == 0 {
		return []cursor.Span{{From: from, To: to}}
	}
	var out []cursor.Span
	for p := from; p < to; p++ {
		if used[a.layout.claim(s.claimAt(p))] {
			continue
		}
		if n := len(out); n > 0 && out[n-1].To == p {
			out[n-1].To++
		} else {
			out = append(out, cursor.Span{From: p, To: p + 1})
		}
	}
	return out
}

func (a *allocator) claimRange(s Space, from, to uint64) (first, end string) {
	return a.layout.claim(s.claimAt(from)), a.layout.claim(s.claimAt(to-1)) + "\x00"
}

// conditions returns comparisons that guard against two cases: a server that held its
// block for a whole turn must not allocate a number that had its next turn in the
// meantime, and a server whose cursor was deleted with its owner must not allocate
// numbers of the owner's successor.
func (a *allocator) conditions(s Space, created int64, grants []grant) []condition {
	if !s.turns {
		return nil
	}
	key := a.layout.cursor(s)
	over := formatPosition(grants[0].position + s.size + 1)
	forget := func([]keyValue) error {
		a.Drop(s.name, created)
		return &staleError{what: "the cursor of " + s.name + " advanced", spent: true}
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

// giveBack returns numbers that a write took and certainly did not use.
func (a *allocator) giveBack(grants []grant) {
	for i := len(grants) - 1; i >= 0; i-- {
		a.GiveBack(grants[i].space.name, grants[i].position, grants[i].created)
	}
}

// formatPosition writes a position with all digits of a uint64, so positions compare as
// strings.
func formatPosition(p uint64) string { return fmt.Sprintf("%020d", p) }

func parsePosition(v []byte) (uint64, error) { return strconv.ParseUint(string(v), 10, 64) }

// numberOf returns the number at the end of a claim's key.
func numberOf(key []byte) uint64 {
	n, err := strconv.ParseUint(lastElement(string(key)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func lastElement(key string) string { return key[strings.LastIndexByte(key, '/')+1:] }

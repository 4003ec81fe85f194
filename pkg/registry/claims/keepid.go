// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// maxJump is the maximum distance between a cursor and an ID that a new object brings
// along. The numbers that a cursor skips miss their turn, so a single outlier must not
// use up a turn.
const maxJump = 1 << 24

// KeepOrAssignID keeps the ID that a new object brings along if it is free, and otherwise
// assigns another. So an object restored from a backup or applied from a repository keeps
// its ID. A preview returns 0 for an ID that has yet to be assigned.
//
// An ID that is kept counts as assigned: it becomes the last one of its space, and the
// cursor passes it, so after its release it waits a whole turn like any other.
func (p *Plan) KeepOrAssignID(ctx context.Context, space Space, id int32) (int32, error) {
	if id > 0 {
		kept, err := p.keepID(ctx, space, id)
		if err != nil || kept {
			return id, err
		}
	}
	if p.preview {
		return 0, nil
	}
	ids, err := p.AssignIDs(ctx, space, 1)
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

func (p *Plan) keepID(ctx context.Context, space Space, id int32) (bool, error) {
	claim := Claim{kind: space.name, number: uint64(id)}
	if claim.number > space.size {
		return false, nil
	}
	_, held, err := p.Holder(ctx, claim)
	if err != nil || held {
		return false, err
	}
	passed, err := p.b.allocator.pass(ctx, space, uint64(id), p.preview)
	if err != nil || !passed || p.preview {
		return passed, err
	}
	// The first write to claim it gets it. If this write loses, it is planned again and
	// finds the ID held.
	p.picked[claim] = struct{}{}
	p.puts[p.b.layout.last(space)] = fmt.Sprint(id)
	return true, nil
}

// pass moves the cursor of a space past a number, unless it already is past it. It
// returns false if the distance exceeds maxJump. A preview moves nothing.
func (a *allocator) pass(ctx context.Context, s Space, number uint64, preview bool) (bool, error) {
	key := a.layout.cursor(s)
	for {
		resp, err := a.client.Get(ctx, key)
		if err != nil {
			return false, fmt.Errorf("read the cursor of %s: %w", s.name, err)
		}
		position, mod := uint64(0), int64(0)
		if len(resp.Kvs) > 0 {
			if position, err = parsePosition(resp.Kvs[0].Value); err != nil {
				return false, fmt.Errorf("cursor of %s: %w", s.name, err)
			}
			mod = resp.Kvs[0].ModRevision
		}
		to := position - position%s.size + number
		switch {
		case to <= position:
			return true, nil
		case to-position > maxJump:
			return false, nil
		case preview:
			return true, nil
		}
		moved, err := a.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", mod)).
			Then(clientv3.OpPut(key, formatPosition(to))).
			Commit()
		if err != nil {
			return false, fmt.Errorf("move the cursor of %s: %w", s.name, err)
		}
		if moved.Succeeded {
			return true, nil
		}
	}
}

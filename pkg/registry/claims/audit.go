// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
)

// ProblemType describes how objects and claims differ.
type ProblemType string

const (
	// Missing is an object without a claim that it should hold.
	Missing ProblemType = "Missing"
	// Orphaned is a claim whose object does not exist or does not claim it.
	Orphaned ProblemType = "Orphaned"
	// Foreign is a claim that one object should hold and another does.
	Foreign ProblemType = "Foreign"
	// Dangling is a claim on a parent that does not exist.
	Dangling ProblemType = "Dangling"
	// Overlapping is a pool that shares addresses with another.
	Overlapping ProblemType = "Overlapping"
	// Unreadable is an object that can't be decrypted or decoded.
	Unreadable ProblemType = "Unreadable"
	// Misplaced is a record of the last ID, or of the cursor, that does not match the
	// claims.
	Misplaced ProblemType = "Misplaced"
	// Broken is an object that violates a rule of its kind.
	Broken ProblemType = "Broken"
)

// Problem is one difference between objects and claims.
type Problem struct {
	Type ProblemType
	// Claim is the claim's key, relative to the prefix of all claims, or the field that
	// violates a rule.
	Claim string
	// Owner is the object that holds or should hold the claim, where known.
	Owner Owner
	// Message describes the problem in one sentence.
	Message string
}

// Report is the result of an audit.
type Report struct {
	// Revision is the etcd revision at which everything was read.
	Revision int64
	// Objects and Claims are the numbers of objects and claims.
	Objects, Claims int
	// Problems is empty if the audit found none.
	Problems []Problem
}

// Maximum number of keys per read during an audit: an object with all its tunnels has a
// few hundred KiB, a claim a few hundred bytes.
const (
	objectsPage = 100
	claimsPage  = 1000
)

// Audit compares all objects with all claims at one revision of etcd. It reads page by
// page and holds one entry per claim in memory.
func (b *Backend) Audit(ctx context.Context) (*Report, error) {
	head, err := b.client.Get(ctx, b.layout.schema())
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	a := &audit{b: b, rev: head.Header.Revision, expected: map[string]expectation{}, unreadable: map[Ref]bool{}, parents: map[string]bool{}, groups: map[string]expectation{}}
	a.find = a.finder(ctx)
	for _, k := range b.allKinds() {
		if err := a.readObjects(ctx, k); err != nil {
			return nil, fmt.Errorf("audit %s: %w", k.resource, err)
		}
	}
	if err := a.readRecords(ctx); err != nil {
		return nil, fmt.Errorf("audit last IDs: %w", err)
	}
	if err := a.readClaims(ctx); err != nil {
		return nil, fmt.Errorf("audit claims: %w", err)
	}
	a.compareRecords()
	a.compareCooling()
	r := a.report()
	r.publish()
	return r, nil
}

func (r *Report) publish() {
	counts := map[ProblemType]int{Missing: 0, Orphaned: 0, Foreign: 0, Dangling: 0, Overlapping: 0, Misplaced: 0, Unreadable: 0, Broken: 0}
	for _, p := range r.Problems {
		counts[p.Type]++
	}
	for t, n := range counts {
		auditProblems.WithLabelValues(string(t)).Set(float64(n))
	}
	auditTime.Set(float64(time.Now().Unix()))
}

func (b *Backend) allKinds() []*kind {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]*kind, 0, len(b.kinds))
	for _, k := range b.kinds {
		out = append(out, k)
	}
	slices.SortFunc(out, func(x, y *kind) int { return strings.Compare(x.resource, y.resource) })
	return out
}

type expectation struct {
	owner Owner
	claim Claim
	seen  bool
}

type audit struct {
	b        *Backend
	rev      int64
	objects  int
	claims   int
	expected map[string]expectation
	// parents holds the key prefixes of claims on objects that exist.
	parents map[string]bool
	pools   []HeldPool
	// last and cursors hold the records of each space of IDs.
	last, cursors map[string]*mvccpb.KeyValue
	// cooling holds the addresses that are cooling down.
	cooling map[string]*mvccpb.KeyValue
	held    map[string]*heldIDs
	// unreadable holds the objects that can't be decrypted or decoded.
	unreadable map[Ref]bool
	// groups holds the first claim on each thing that several objects may share.
	groups map[string]expectation
	// find reads an object that another object refers to.
	find     Find
	problems []Problem
}

// heldIDs summarizes the claims held in one space.
type heldIDs struct {
	// rev is the create revision of the newest claim.
	rev int64
	// highest is the highest number that is claimed.
	highest uint64
	// lastMade is the create revision of the claim on the number recorded as the last, or
	// 0 if it is not claimed.
	lastMade int64
}

func (a *audit) problem(t ProblemType, claim string, o Owner, format string, args ...any) {
	a.problems = append(a.problems, Problem{Type: t, Claim: claim, Owner: o, Message: fmt.Sprintf(format, args...)})
}

func (a *audit) readObjects(ctx context.Context, k *kind) error {
	return a.each(ctx, k.prefix, objectsPage, func(kv *mvccpb.KeyValue) error {
		a.objects++
		obj, err := k.decode(ctx, string(kv.Key), kv.Value, kv.ModRevision)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			a.skip(k, kv, err)
			return nil
		}
		if err := a.expect(k, obj); err != nil {
			return err
		}
		return a.check(k, obj)
	})
}

// skip reports an object that can't be read. Its claims are unknown, so claims that name
// it as their owner are assumed to be correct.
func (a *audit) skip(k *kind, kv *mvccpb.KeyValue, err error) {
	namespace, name, _ := strings.Cut(string(kv.Key[len(k.prefix):]), "/")
	ref := Ref{Resource: k.resource, Namespace: namespace, Name: name}
	a.unreadable[ref] = true
	a.parents[childKind(ref)] = true
	a.problem(Unreadable, "", Owner{Ref: ref}, "%s can't be read, so its claims are not checked: %v", ref, err)
}

func (a *audit) expect(k *kind, obj runtime.Object) error {
	owner, err := ownerOf(k.resource, obj)
	if err != nil {
		return err
	}
	a.parents[childKind(owner.Ref)] = true
	set := k.rules.Claims(obj)
	for _, c := range set.twice {
		a.problem(Foreign, c.path(), owner, "%s claims it twice", owner.Ref)
	}
	for c := range set.claims {
		key := c.path()
		if other, ok := a.expected[key]; ok {
			a.problem(Foreign, key, owner, "both %s and %s claim it", other.owner.Ref, owner.Ref)
			continue
		}
		a.expected[key] = expectation{owner: owner, claim: c}
		if shared, group := c.folders(); shared != "" {
			if other, ok := a.groups[shared]; ok && other.claim.kind != group {
				a.problem(Foreign, key, owner, "%s of another account has the name too", other.owner.Ref)
			} else if !ok {
				a.groups[shared] = expectation{owner: owner, claim: c}
			}
		}
	}
	return nil
}

func (a *audit) readClaims(ctx context.Context) error {
	folder := a.b.layout.claims()
	a.held = map[string]*heldIDs{}
	return a.each(ctx, folder, claimsPage, func(kv *mvccpb.KeyValue) error {
		a.claims++
		path := string(kv.Key[len(folder):])
		holder, err := parseOwner(kv.Value)
		if err != nil {
			a.problem(Orphaned, path, Owner{}, "%v", err)
			return nil
		}
		e, ok := a.expected[path]
		switch {
		case !ok && a.unreadable[holder.Ref]:
			return nil
		case !ok:
			a.problem(Orphaned, path, holder, "%s holds it, but does not exist or does not require it", holder.Ref)
			return nil
		case !bytes.Equal(kv.Value, []byte(e.owner.String())):
			a.problem(Foreign, path, holder, "%s should hold it", e.owner.Ref)
		}
		e.seen = true
		a.expected[path] = e
		a.inspect(path, e, kv)
		return nil
	})
}

// inspect checks the meaning of a claim, after its existence.
func (a *audit) inspect(path string, e expectation, kv *mvccpb.KeyValue) {
	switch e.claim.Kind() {
	case kindChild:
		if !a.parents[e.claim.kind] {
			a.problem(Dangling, path, e.owner, "%s depends on an object that does not exist", e.owner.Ref)
		}
	case kindPool:
		if h, err := parsePoolClaim(e.claim.name, kv.Value); err == nil {
			a.pools = append(a.pools, h)
		}
	case "tunnel", "group", "service":
		h := a.held[e.claim.kind]
		if h == nil {
			h = &heldIDs{}
			a.held[e.claim.kind] = h
		}
		h.rev = max(h.rev, kv.CreateRevision)
		h.highest = max(h.highest, e.claim.number)
		if last := a.last[e.claim.kind]; last != nil && string(last.Value) == fmt.Sprint(e.claim.number) {
			h.lastMade = kv.CreateRevision
		}
	}
}

// readRecords reads the records of each space.
func (a *audit) readRecords(ctx context.Context) error {
	a.last, a.cursors, a.cooling = map[string]*mvccpb.KeyValue{}, map[string]*mvccpb.KeyValue{}, map[string]*mvccpb.KeyValue{}
	for folder, records := range map[string]map[string]*mvccpb.KeyValue{"last/": a.last, "cursor/": a.cursors, coolingFolder: a.cooling} {
		folder = a.b.layout.root + folder
		err := a.each(ctx, folder, claimsPage, func(kv *mvccpb.KeyValue) error {
			records[string(kv.Key[len(folder):])] = kv
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// compareRecords checks, as far as the claims still held allow, that the last ID recorded
// for each space is that of the newest claim, with which it was written, and that no ID
// was assigned that the cursor has not reached.
func (a *audit) compareRecords() {
	for space := range a.last {
		if a.held[space] == nil {
			a.held[space] = &heldIDs{}
		}
	}
	for space, h := range a.held {
		h.highest = max(h.highest, a.compareLast(space, h))
		cursor, position := a.cursors[space], uint64(0)
		if cursor != nil {
			var err error
			if position, err = parsePosition(cursor.Value); err != nil {
				a.problem(Misplaced, "cursor/"+space, Owner{}, "%q is not a position", cursor.Value)
				continue
			}
		}
		if position < h.highest {
			a.problem(Misplaced, "cursor/"+space, Owner{}, "ID %d was assigned, but the next ID to assign is recorded as %d", h.highest, position+1)
		}
	}
}

// compareCooling checks that no address that is in use cools down.
func (a *audit) compareCooling() {
	for name, kv := range a.cooling {
		key := coolingFolder + name
		if _, err := parseCooled(string(kv.Value)); err != nil {
			a.problem(Misplaced, key, Owner{}, "%v", err)
		}
		address, err := parseAddressKey(name)
		if err != nil {
			a.problem(Misplaced, key, Owner{}, "%v", err)
			continue
		}
		if e, ok := a.expected[AddressClaim(address).path()]; ok {
			a.problem(Misplaced, key, e.owner, "address %s is in use by %s but recorded as released", address, e.owner.Ref)
		}
	}
}

// compareLast returns the ID recorded as the last of a space if it is consistent with the
// claims. The ID itself may have been released since, while others that the same write
// assigned are still held.
func (a *audit) compareLast(space string, h *heldIDs) uint64 {
	misplaced := func(format string, args ...any) uint64 {
		a.problem(Misplaced, "last/"+space, Owner{}, format, args...)
		return 0
	}
	kv := a.last[space]
	if kv == nil {
		return misplaced("IDs are assigned, but no last ID is recorded")
	}
	id, err := strconv.ParseUint(string(kv.Value), 10, 31)
	switch {
	case err != nil || id == 0:
		return misplaced("%q is not an ID", kv.Value)
	case kv.ModRevision < h.rev:
		return misplaced("the last ID was recorded at revision %d, but IDs were assigned at revision %d", kv.ModRevision, h.rev)
	case h.lastMade != 0 && h.lastMade < kv.ModRevision:
		return misplaced("%d was recorded as the last ID at revision %d, but was assigned at revision %d", id, kv.ModRevision, h.lastMade)
	}
	return id
}

func (a *audit) report() *Report {
	for path, e := range a.expected {
		if !e.seen {
			a.problem(Missing, path, e.owner, "%s does not hold what it should", e.owner.Ref)
		}
	}
	for i, p := range a.pools {
		for _, q := range a.pools[:i] {
			if p.Pool.Overlaps(q.Pool) {
				a.problem(Overlapping, kindPool+"/"+poolKey(p.Pool), p.Owner, "%s overlaps %s of %s", p.Pool, q.Pool, q.Owner.Ref)
			}
		}
	}
	slices.SortFunc(a.problems, func(x, y Problem) int {
		return strings.Compare(string(x.Type)+x.Claim, string(y.Type)+y.Claim)
	})
	return &Report{Revision: a.rev, Objects: a.objects, Claims: a.claims, Problems: a.problems}
}

// each calls f for every key with a prefix, as of the audit's revision.
func (a *audit) each(ctx context.Context, folder string, page int64, f func(*mvccpb.KeyValue) error) error {
	key, end := folder, clientv3.GetPrefixRangeEnd(folder)
	for {
		resp, err := a.b.client.Get(ctx, key, clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithRev(a.rev))
		if err != nil {
			return err
		}
		for _, kv := range resp.Kvs {
			if err := f(kv); err != nil {
				return err
			}
		}
		if !resp.More {
			return nil
		}
		key = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

// RunAudits runs an audit now and then every interval until ctx ends, and logs the
// problems. If an audit fails, it logs the error and continues with the next.
func (b *Backend) RunAudits(ctx context.Context, interval time.Duration) {
	wait.JitterUntilWithContext(ctx, func(ctx context.Context) {
		r, err := b.Audit(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			klog.FromContext(ctx).Error(err, "Could not compare objects and claims")
		case len(r.Problems) > 0:
			klog.FromContext(ctx).Error(nil, "Objects and claims differ", "problems", len(r.Problems), "first", r.Problems[0].Message, "revision", r.Revision)
		}
	}, interval, 0.1, true)
}

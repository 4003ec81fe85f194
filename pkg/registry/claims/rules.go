// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
)

// Rules defines what the objects of one kind claim and what their writes depend on.
// Objects are of the internal version.
type Rules interface {
	// Claims returns the claims of obj. It must be a pure function of obj: it is called
	// again whenever the object changes or is deleted, and by the audit.
	Claims(obj runtime.Object) *Set

	// Plan completes obj before it is written: it looks up parents, assigns missing
	// values, and records in the plan what the write depends on. old is nil on creation.
	// Plan may run several times for one request, each time with a fresh obj. It returns
	// errors of the caller as *errors.StatusError, not wrapped.
	Plan(ctx context.Context, p *Plan, old, obj runtime.Object) error

	// PlanDelete returns an error if obj must not be deleted. It is called when the
	// deletion starts and, if finalizers delayed it, when it ends; obj then has a
	// deletion timestamp. The store checks separately that nothing depends on obj.
	PlanDelete(ctx context.Context, p *Plan, obj runtime.Object) error

	// Taken returns the error for a requested claim that another object holds. The error
	// names the field, the rule and the fix. It must not reveal names of one tenant's
	// objects to another.
	Taken(obj runtime.Object, c Claim, holder Owner) error

	// HasChildren returns the error for the deletion of obj while others depend on it;
	// child is one of them. It returns nil for kinds on which nothing depends.
	HasChildren(obj runtime.Object, child Owner) error
}

// NoRules are rules for objects that claim nothing and depend on nothing, and on which
// nothing depends. The Rules of a kind embed it and override what differs.
type NoRules struct{}

var _ Rules = NoRules{}

// Claims implements Rules.
func (NoRules) Claims(runtime.Object) *Set { return &Set{} }

// Plan implements Rules.
func (NoRules) Plan(context.Context, *Plan, runtime.Object, runtime.Object) error { return nil }

// PlanDelete implements Rules.
func (NoRules) PlanDelete(context.Context, *Plan, runtime.Object) error { return nil }

// Taken implements Rules.
func (NoRules) Taken(runtime.Object, Claim, Owner) error { return nil }

// HasChildren implements Rules.
func (NoRules) HasChildren(runtime.Object, Owner) error { return nil }

// Displacer is implemented by Rules of kinds whose objects may be garbage that has not
// been collected yet and that holds a claim another object needs.
type Displacer interface {
	// Displaces reports whether holder, which holds a claim that obj needs, is garbage.
	// If so, the store deletes it, as the garbage collector would, unless it has
	// finalizers. p is only for reading.
	Displaces(ctx context.Context, p *Plan, obj, holder runtime.Object) (bool, error)
}

// rulesAs returns rules as a T if they, or rules that they wrap and return by a method
// Unwrap, implement it.
func rulesAs[T any](rules Rules) (found T, ok bool) {
	for {
		if found, ok = rules.(T); ok {
			return found, true
		}
		wrapper, ok := rules.(interface{ Unwrap() Rules })
		if !ok {
			return found, false
		}
		rules = wrapper.Unwrap()
	}
}

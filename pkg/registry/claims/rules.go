// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
)

// Rules describes what the objects of one kind claim and what their writes rely on.
// The objects are of the internal version.
type Rules interface {
	// Claims returns what obj holds. It is a pure function of obj: it is
	// computed again whenever the object changes or goes, and by the audit.
	Claims(obj runtime.Object) *Set

	// Plan completes obj before it is written: it looks parents up, assigns
	// what is missing, and tells the plan on what the write depends. old is nil
	// on creation. It may run several times for one request, each time with a
	// fresh obj. What the caller did wrong it reports as *errors.StatusError,
	// not wrapped.
	Plan(ctx context.Context, p *Plan, old, obj runtime.Object) error

	// PlanDelete reports whether obj may go: when its deletion starts, and, if
	// finalizers held it, when it ends. It has a deletion timestamp then. That
	// nothing depends on it is checked besides.
	PlanDelete(ctx context.Context, p *Plan, obj runtime.Object) error

	// Taken turns the loss of a claim that the caller asked for into an error
	// that names the field, the rule and the way out. It must not tell one
	// tenant the names of another's objects.
	Taken(obj runtime.Object, c Claim, holder Owner) error

	// HasChildren is the error for the deletion of obj while others depend on
	// it, of which child is one. It is nil for kinds on which nothing depends.
	HasChildren(obj runtime.Object, child Owner) error
}

// NoRules are the rules of objects that claim nothing and rely on nothing, and on
// which nothing depends. The Rules of a kind embed it and define what differs.
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

// Displacer is for Rules of kinds whose objects may be garbage that was not
// collected yet, and hold a claim that another object needs.
type Displacer interface {
	// Displaces reports whether holder, which has a claim that obj needs, is
	// garbage. The store then deletes it, as the garbage collector would, unless it
	// has finalizers. p is for reading.
	Displaces(ctx context.Context, p *Plan, obj, holder runtime.Object) (bool, error)
}

// rulesAs finds what else a kind's rules implement. They may be wrapped in others,
// whose method Unwrap returns them.
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

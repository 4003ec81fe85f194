// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// deletionPatience is how long the deletion of an object may take before it is a fault.
const deletionPatience = 5 * time.Minute

// Reasons of faults without a condition.
const (
	reasonEnvoysNotReady = "EnvoysNotReady"
	reasonDeleting       = "DeletionPending"
)

// faultyIfTrue lists the conditions that are a fault if they are True.
var faultyIfTrue = []string{"SharedHostname", "EnvoyVersionSkew", "Conflicted", "OverlappingTLSConfig", "PartiallyInvalid"}

// faultyReasons lists reasons for which a condition is a fault although it is True.
var faultyReasons = []string{"NearlyExhausted", "QuotaNearlyExhausted", "TooFewNodes"}

// faulty reports whether a condition shows a problem.
func faulty(c *metav1.Condition) bool {
	if slices.Contains(faultyIfTrue, c.Type) {
		return c.Status == metav1.ConditionTrue
	}
	return c.Status == metav1.ConditionFalse || c.Status == metav1.ConditionTrue && slices.Contains(faultyReasons, c.Reason)
}

// about identifies the object of faults.
type about struct {
	kind    string
	object  metav1.Object
	subject string
	proxy   string
}

// fault returns a fault of the object.
func (a *about) fault(state State, reason, message string) Fault {
	return Fault{
		Key: key(a.kind, a.object.GetNamespace(), a.object.GetName(), reason), State: state,
		Kind: a.kind, Namespace: a.object.GetNamespace(), Name: a.object.GetName(), Subject: a.subject, Proxy: a.proxy,
		Reason: reason, Message: message, Fix: fixOf(reason),
	}
}

func key(kind, namespace, name, reason string) string {
	return strings.Join([]string{kind, namespace, name, reason}, "/")
}

// faultsOf returns the faults that an object's conditions show, one for each reason. The
// condition Ready, which repeats another, only results in a fault if no other condition
// has its reason. A fault that makes an object not Ready is Bad.
func faultsOf(a *about, conditions []metav1.Condition) []Fault {
	ready := meta.FindStatusCondition(conditions, readyCondition)
	broken := ready != nil && ready.Status == metav1.ConditionFalse
	var out []Fault
	add := func(c *metav1.Condition) {
		if slices.ContainsFunc(out, func(f Fault) bool { return f.Reason == c.Reason }) {
			return
		}
		state := Warning
		if broken && c.Reason == ready.Reason {
			state = Bad
		}
		f := a.fault(state, c.Reason, c.Message)
		f.Since = c.LastTransitionTime
		out = append(out, f)
	}
	for i := range conditions {
		if c := &conditions[i]; c.Type != readyCondition && faulty(c) {
			add(c)
		}
	}
	if broken {
		add(ready)
	}
	return out
}

// stateOf returns the state of an object: that of its worst fault, or otherwise that of
// its condition Ready.
func stateOf(conditions []metav1.Condition, faults []Fault) State {
	state := Good
	ready := meta.FindStatusCondition(conditions, readyCondition)
	switch {
	case ready == nil || ready.Status == metav1.ConditionUnknown:
		state = Unknown
	case ready.Status == metav1.ConditionFalse:
		state = Bad
	}
	for i := range faults {
		state = state.worse(faults[i].State)
	}
	return state
}

// summaryOf returns the state of a small part with its first fault, or with the text well
// if it has none.
func summaryOf(conditions []metav1.Condition, well string) (State, string) {
	var first *metav1.Condition
	for i := range conditions {
		if c := &conditions[i]; faulty(c) && (first == nil || first.Type == readyCondition) {
			first = c
		}
	}
	switch {
	case first != nil && first.Status == metav1.ConditionFalse:
		return Bad, first.Reason
	case first != nil:
		return Warning, first.Reason
	case len(conditions) == 0:
		return Unknown, "the controller has not reported on it"
	}
	return Good, well
}

// grouped collects the faults of endpoints and slices, of which there are many: one fault
// for each reason and proxy. The other endpoints serve, so these faults are Warnings; if
// none is left, the proxy has its own fault.
type grouped map[[4]string]*Fault

func (g grouped) add(a *about, conditions []metav1.Condition) {
	for _, f := range faultsOf(a, conditions) {
		f.State = Warning
		id := [4]string{f.Namespace, f.Proxy, f.Kind, f.Reason}
		has := g[id]
		if has == nil {
			f.Count = 1
			g[id] = &f
			continue
		}
		count := has.Count + 1
		// Show the first by name, so the order of the objects does not matter.
		if f.Name < has.Name {
			*has = f
		}
		has.Count = count
	}
}

// all returns the faults, with the number of objects in the subject.
func (g grouped) all() []Fault {
	var out []Fault
	for _, id := range slices.SortedFunc(maps.Keys(g), func(x, y [4]string) int { return slices.Compare(x[:], y[:]) }) {
		f := *g[id]
		if f.Count == 1 {
			f.Count = 0
		} else {
			f.Subject += fmt.Sprintf(" and %d more", f.Count-1)
		}
		f.Key = key(f.Kind, f.Namespace, f.Proxy, f.Reason)
		out = append(out, f)
	}
	return out
}

// covers reports whether a fault of a proxy already describes a fault of an object behind
// it.
func covers(has, of *Fault) bool {
	return has.Reason == of.Reason || aboutTunnels(has.Reason) && aboutTunnels(of.Reason)
}

func aboutTunnels(reason string) bool {
	return slices.Contains([]string{"SomeTunnelsDown", "AllTunnelsDown", "TunnelPending", "NoProxies", "TooManyTunnels"}, reason)
}

// used reports whether a route leads to a slice.
func used(o *v1.GWEndpointSlice) bool {
	return meta.IsStatusConditionTrue(o.Status.Conditions, "InUse")
}

// sortFaults sorts faults by severity, and equally severe ones by their start, latest
// first.
func sortFaults(all []Fault) {
	slices.SortStableFunc(all, func(x, y Fault) int {
		return cmp.Or(cmp.Compare(x.State.rank(), y.State.rank()), y.Since.Compare(x.Since.Time), strings.Compare(x.Key, y.Key))
	})
}

// sentence capitalizes a text and adds a period.
func sentence(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	s = string(unicode.ToUpper(first)) + s[size:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// StateOfCondition returns the state that a single condition shows.
func StateOfCondition(c *metav1.Condition) State {
	switch {
	case faulty(c) && c.Status == metav1.ConditionFalse:
		return Bad
	case faulty(c):
		return Warning
	case c.Status == metav1.ConditionUnknown:
		return Unknown
	}
	return Good
}

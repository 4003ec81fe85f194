// SPDX-License-Identifier: Apache-2.0

package publish

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditions collects the conditions of one thing. Their times are set when they are
// merged into a status.
type conditions struct {
	generation int64
	list       []metav1.Condition
}

func (c *conditions) set(kind string, status metav1.ConditionStatus, reason, message string) {
	c.list = append(c.list, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: c.generation})
}

// verdict is whether something holds, and why.
type verdict struct {
	reason, message string
	no              bool
}

// refuse makes it not hold, if it does not hold for no other reason yet.
func (v *verdict) refuse(reason, message string) {
	if !v.no {
		*v = verdict{reason: reason, message: message, no: true}
	}
}

// also makes it not hold where another verdict does not, if it does not hold for no other
// reason yet.
func (v *verdict) also(other verdict) {
	if other.no {
		v.refuse(other.reason, other.message)
	}
}

// state is the verdict as a condition; yes is its reason where it holds, which the
// condition's own reason may replace.
func (c *conditions) state(kind string, v verdict, yes, message string) {
	switch {
	case v.no:
		c.set(kind, metav1.ConditionFalse, v.reason, v.message)
	case v.reason != "":
		c.set(kind, metav1.ConditionTrue, v.reason, v.message)
	default:
		c.set(kind, metav1.ConditionTrue, yes, message)
	}
}

// SPDX-License-Identifier: Apache-2.0

package publish

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// conditions collects the conditions of one object. Their times are set when they are
// merged into a status.
type conditions struct {
	generation int64
	list       []metav1.Condition
}

func (c *conditions) set(kind string, status metav1.ConditionStatus, reason, message string) {
	c.list = append(c.list, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: c.generation})
}

// verdict is whether a condition holds, and why.
type verdict struct {
	reason, message string
	no              bool
}

// refuse makes the verdict negative, unless it already is.
func (v *verdict) refuse(reason, message string) {
	if !v.no {
		*v = verdict{reason: reason, message: message, no: true}
	}
}

// also makes the verdict negative if another one is, unless it already is.
func (v *verdict) also(other verdict) {
	if other.no {
		v.refuse(other.reason, other.message)
	}
}

// state adds the verdict as a condition; yes is its reason if it holds, which the
// verdict's own reason may replace.
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

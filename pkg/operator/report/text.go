// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// shown is the maximum number of items in a message.
	shown = 5
	// maxOne limits one item, maxText a text from Envoy and maxMessage a condition's
	// message, in bytes: they contain text from tenants.
	maxOne     = 700
	maxText    = 2000
	maxImage   = 1000
	maxMessage = 4000
)

// Line converts a foreign text to one line, without characters that affect a terminal.
func Line(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// tell returns the first of several texts as one message.
func tell(things []string) string {
	things = slices.Clone(things)
	for i := range things {
		things[i] = Line(things[i], maxOne)
	}
	if len(things) > shown {
		things = append(things[:shown], fmt.Sprintf("and %d more", len(things)-shown))
	}
	return strings.Join(things, "; ")
}

// programmedNow returns the condition Programmed for what Envoys serve.
func programmedNow() metav1.Condition {
	return condition(ConditionProgrammed, metav1.ConditionTrue, ReasonProgrammed, "Envoys run the newest configuration")
}

// unprogrammed returns the condition Programmed for what they do not serve yet.
func unprogrammed(reason, format string, args ...any) metav1.Condition {
	return condition(ConditionProgrammed, metav1.ConditionFalse, reason, format, args...)
}

func condition(name string, is metav1.ConditionStatus, reason, format string, args ...any) metav1.Condition {
	return metav1.Condition{Type: name, Status: is, Reason: reason, Message: Line(fmt.Sprintf(format, args...), maxMessage)}
}

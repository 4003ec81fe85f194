// SPDX-License-Identifier: Apache-2.0

package overview

import "fmt"

// Verdict is the outcome of one check.
type Verdict string

// The verdicts.
const (
	OK   Verdict = "OK"
	Warn Verdict = "WARN"
	Fail Verdict = "FAIL"
)

// Check is what one check found.
type Check struct {
	// Name is what was checked, as in "etcd".
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Detail is one sentence about what was found.
	Detail string `json:"detail"`
	// Fix describes what to do about it; empty if there is nothing to do.
	Fix string `json:"fix,omitempty"`
	// Unknown is whether the reader lacks the right to find out.
	Unknown bool `json:"unknown,omitempty"`
}

// Unread is why something could not be read.
type Unread struct {
	// Missing is the right that the reader lacks, in the words of a role's rule, as in
	// "list pods in namespace epic-acme". It is empty if something else is wrong.
	Missing string `json:"missing,omitempty"`
	// Message describes anything else that is wrong.
	Message string `json:"message,omitempty"`
	// Fix describes what to do about it.
	Fix string `json:"fix,omitempty"`
}

// checks collects what is found.
type checks []Check

func (c *checks) ok(name, format string, args ...any) {
	*c = append(*c, Check{Name: name, Verdict: OK, Detail: fmt.Sprintf(format, args...)})
}

func (c *checks) warn(name, fix, format string, args ...any) {
	*c = append(*c, Check{Name: name, Verdict: Warn, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

func (c *checks) fail(name, fix, format string, args ...any) {
	*c = append(*c, Check{Name: name, Verdict: Fail, Detail: fmt.Sprintf(format, args...), Fix: fix})
}

// unread adds what could not be read: a missing right is no fault of the installation.
func (c *checks) unread(name string, u *Unread) {
	if u.Missing != "" {
		*c = append(*c, Check{Name: name, Verdict: Warn, Detail: "unknown: you may not " + u.Missing, Fix: u.Fix, Unknown: true})
		return
	}
	c.fail(name, u.Fix, "%s", u.Message)
}

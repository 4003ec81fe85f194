// SPDX-License-Identifier: Apache-2.0

package overview

import "fmt"

// Verdict is the result of a check.
type Verdict string

// Values of Verdict.
const (
	OK   Verdict = "OK"
	Warn Verdict = "WARN"
	Fail Verdict = "FAIL"
)

// Check is the result of one check.
type Check struct {
	// Name is what was checked, such as "etcd".
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Detail describes the result in one sentence.
	Detail string `json:"detail"`
	// Fix describes what to do; empty if there is nothing to do.
	Fix string `json:"fix,omitempty"`
	// Unknown indicates that the reader lacks the permission for the check.
	Unknown bool `json:"unknown,omitempty"`
}

// Unread is why something could not be read.
type Unread struct {
	// Missing is the missing permission, in the terms of a role's rule, such as "list
	// pods in namespace epic-acme". It is empty if the reason is different.
	Missing string `json:"missing,omitempty"`
	// Message describes any other reason.
	Message string `json:"message,omitempty"`
	// Fix describes what to do.
	Fix string `json:"fix,omitempty"`
}

// checks collects results.
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

// unread adds something that could not be read: a missing permission is not a problem of
// the installation.
func (c *checks) unread(name string, u *Unread) {
	if u.Missing != "" {
		*c = append(*c, Check{Name: name, Verdict: Warn, Detail: "unknown: you may not " + u.Missing, Fix: u.Fix, Unknown: true})
		return
	}
	c.fail(name, u.Fix, "%s", u.Message)
}

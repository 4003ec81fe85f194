// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"fmt"

	"github.com/anishathalye/porcupine"
)

// action is what a client asked for.
type action int

const (
	create action = iota
	update
	remove
	get
)

// outcome is what it was told.
type outcome int

const (
	done outcome = iota
	conflict
	exists
	absent
	// unknown: the connection broke or the server said that it can't tell. The
	// write may take effect at any later time, or never.
	unknown
)

// input is one operation on one object. base is the version that an update
// started from, version the one that it or a creation writes; versions are
// unique in the whole test.
type input struct {
	object        string
	action        action
	base, version string
}

// output is the answer; version is what a get saw.
type output struct {
	outcome outcome
	version string
}

// register is the sequential specification of one object: it is absent (the
// empty version) or has the version that was written last. Whatever order the
// operations are thought to have happened in, it must explain all answers.
func register() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{""} },
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byObject := map[string][]porcupine.Operation{}
			for _, o := range history {
				name := o.Input.(input).object
				byObject[name] = append(byObject[name], o)
			}
			var out [][]porcupine.Operation
			for _, h := range byObject {
				out = append(out, h)
			}
			return out
		},
		Step:              func(state, in, out any) []any { return step(state.(string), in.(input), out.(output)) },
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
	}
	return m.ToModel()
}

// step returns the states that are possible after an operation, none if the
// answer is impossible in this state.
func step(now string, in input, out output) []any {
	if out.outcome == unknown {
		after, ok := effect(now, in)
		if !ok || after == now {
			return []any{now}
		}
		return []any{now, after}
	}
	possible, after := false, now
	switch in.action {
	case get:
		possible = out.outcome == done && now == out.version && now != "" || out.outcome == absent && now == ""
	case create:
		possible = out.outcome == done && now == "" || out.outcome == exists && now != ""
	case update:
		possible = out.outcome == done && now == in.base || out.outcome == conflict && now != in.base || out.outcome == absent && now == ""
	case remove:
		possible = out.outcome == done && now != "" || out.outcome == absent && now == ""
	}
	if !possible {
		return nil
	}
	if out.outcome == done {
		after, _ = effect(now, in)
	}
	return []any{after}
}

// effect is the state after a write that takes effect, if it can.
func effect(now string, in input) (string, bool) {
	switch {
	case in.action == create && now == "", in.action == update && now == in.base:
		return in.version, true
	case in.action == remove && now != "":
		return "", true
	}
	return now, false
}

// SPDX-License-Identifier: Apache-2.0

package template

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
)

// Names of functions that rendering inserts into templates.
const (
	stepFunction  = "epicStep"
	enterFunction = "epicEnter"
	leaveFunction = "epicLeave"
	valueFunction = "epicValue"
)

// program is a template that is ready to run.
type program struct {
	budget   *budget
	template *template.Template
	values   *values
}

// values holds the texts that a template printed. Its output contains a placeholder for
// each.
type values struct {
	word   string
	texts  []string
	budget *budget
}

func newValues(b *budget) *values { return &values{word: "epicValue" + rand.Text() + "x", budget: b} }

// put returns the placeholder for a value. Numbers and booleans are written directly.
func (v *values) put(value any) (string, error) {
	r := reflect.ValueOf(value)
	for r.Kind() == reflect.Pointer {
		r = r.Elem()
	}
	switch k := r.Kind(); {
	case !r.IsValid():
		return "", errors.New("prints an absent value: check it with if or with first")
	case k == reflect.String:
		if err := v.budget.output(r.Len()); err != nil {
			return "", err
		}
		v.texts = append(v.texts, r.String())
		return v.word + strconv.Itoa(len(v.texts)-1) + "x", nil
	case k == reflect.Bool || k >= reflect.Int && k <= reflect.Float64:
		return fmt.Sprint(r.Interface()), nil
	}
	return "", fmt.Errorf("prints a whole %s: select one of its fields", r.Type())
}

// restore replaces the placeholders in a text of the decoded document.
func (v *values) restore(s string) string {
	first, rest, found := strings.Cut(s, v.word)
	if !found {
		return s
	}
	var out strings.Builder
	out.WriteString(first)
	for _, part := range strings.Split(rest, v.word) {
		digits, after, _ := strings.Cut(part, "x")
		if i, err := strconv.Atoi(digits); err == nil && i >= 0 && i < len(v.texts) {
			out.WriteString(v.texts[i])
			out.WriteString(after)
		}
	}
	return out.String()
}

// compile parses a template and inserts the checks.
func compile(b *budget, text string) (*program, error) {
	if n := strings.Count(text, "{{") + strings.Count(text, "("); n > maxActions {
		return nil, fmt.Errorf("has %d template actions and parentheses: shorten it to %d", n, maxActions)
	}
	v := newValues(b)
	funcs := b.functions()
	funcs[stepFunction], funcs[enterFunction], funcs[leaveFunction], funcs[valueFunction] = b.step, b.enter, b.leave, v.put
	t, err := template.New("value").Funcs(funcs).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("does not parse as a Go template: %w: correct it", err)
	}
	checks, err := template.New("checks").Funcs(funcs).Parse("{{" + stepFunction + "}}{{" + enterFunction + "}}{{" + leaveFunction + "}}{{0|" + valueFunction + "}}")
	if err != nil {
		return nil, err
	}
	nodes := checks.Root.Nodes
	in := &inserter{step: nodes[0], value: nodes[3].(*parse.ActionNode).Pipe.Cmds[1]} //nolint:forcetypeassert,errcheck // it is the text above
	for _, each := range t.Templates() {
		if each.Tree == nil || each.Root == nil {
			continue
		}
		in.list(each.Root)
		all := append([]parse.Node{nodes[1].Copy()}, each.Root.Nodes...)
		each.Root.Nodes = append(all, nodes[2].Copy())
	}
	return &program{budget: b, template: t, values: v}, nil
}

// inserter inserts a step into each loop, and passes each printed value to a function.
type inserter struct {
	step  parse.Node
	value *parse.CommandNode
}

func (in *inserter) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 && !literal(n.Pipe) {
				n.Pipe.Cmds = append(n.Pipe.Cmds, in.value.Copy().(*parse.CommandNode)) //nolint:forcetypeassert,errcheck // Copy preserves the type
			}
		case *parse.IfNode:
			in.list(n.List)
			in.list(n.ElseList)
		case *parse.WithNode:
			in.list(n.List)
			in.list(n.ElseList)
		case *parse.RangeNode:
			in.list(n.List)
			in.list(n.ElseList)
			n.List.Nodes = append([]parse.Node{in.step.Copy()}, n.List.Nodes...)
		}
	}
}

// literal reports whether a pipeline is a constant in the template's own text.
func literal(p *parse.PipeNode) bool {
	if len(p.Cmds) != 1 || len(p.Cmds[0].Args) != 1 {
		return false
	}
	_, ok := p.Cmds[0].Args[0].(*parse.StringNode)
	return ok
}

// run renders the template. Its result contains placeholders for values.
func (p *program) run(parameters any) (string, error) {
	p.values.texts = nil
	p.budget.used.Depth = 0
	out := &boundedBuffer{budget: p.budget}
	if err := p.template.Execute(out, parameters); err != nil {
		return "", fmt.Errorf("fails: %w", err)
	}
	return out.buffer.String(), nil
}

// boundedBuffer rejects output beyond the limit and after the deadline.
type boundedBuffer struct {
	buffer bytes.Buffer
	budget *budget
}

// Write implements io.Writer.
func (b *boundedBuffer) Write(p []byte) (int, error) {
	if b.budget.ctx.Err() != nil {
		return 0, b.budget.late()
	}
	if err := b.budget.output(len(p)); err != nil {
		return 0, err
	}
	return b.buffer.Write(p)
}

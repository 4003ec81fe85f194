// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// edit changes the objects that it matches.
type edit struct {
	// kinds and names select objects: any, if they are empty.
	kinds, names []string
	// roots select the kustomizations of the objects: any, if it is empty.
	roots []string
	// when is a condition of the whole object.
	when string
	// change writes marks into the object.
	change func(*marks, map[string]any) error
}

func (e edit) matches(id identity, r root) bool {
	has := func(list []string, s string) bool { return len(list) == 0 || slices.Contains(list, s) }
	return has(e.kinds, id.kind) && has(e.names, id.name) && has(e.roots, r.path)
}

// apply returns an object's template, and the conditions of the whole object.
func apply(edits []edit, id identity, r root, content map[string]any) (text string, conditions []string, err error) {
	m := &marks{}
	for _, e := range edits {
		if !e.matches(id, r) {
			continue
		}
		if e.when != "" {
			conditions = append(conditions, strings.ReplaceAll(e.when, "NAME", id.name))
		}
		if e.change != nil {
			if err := e.change(m, content); err != nil {
				return "", nil, fmt.Errorf("%s: %w", id, err)
			}
		}
	}
	data, err := yaml.Marshal(content)
	if err != nil {
		return "", nil, err
	}
	// Templates of Prometheus itself.
	text = strings.ReplaceAll(string(data), "{{", `{{ "{{" }}`)
	return m.resolve(text), conditions, nil
}

// marks are the positions in an object where a value or a part of a template is inserted.
// A mark is a word in the object's YAML, which resolve replaces.
type marks struct {
	replacements []func(line, mark string) string
}

const markPrefix = "HELMVALUE"

var markPattern = regexp.MustCompile(markPrefix + `[0-9]+X`)

func (m *marks) add(replace func(line, mark string) string) string {
	m.replacements = append(m.replacements, replace)
	return fmt.Sprintf("%s%dX", markPrefix, len(m.replacements)-1)
}

// resolve replaces the marks in an object's YAML, line by line.
func (m *marks) resolve(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for {
			mark := markPattern.FindString(line)
			if mark == "" {
				break
			}
			var i int
			if _, err := fmt.Sscanf(mark, markPrefix+"%dX", &i); err != nil {
				panic(err) // the pattern only matches numbers
			}
			line = m.replacements[i](line, mark)
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// value returns a mark for a scalar, or a part of one.
func (m *marks) value(expression string) string {
	return m.add(func(line, mark string) string {
		return replaceOnce(line, mark, "{{ "+expression+" }}")
	})
}

func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// block returns a mark for a map or a list: the line "key: MARK" becomes the key with the
// value below it.
func (m *marks) block(expression string) string {
	return m.add(func(line, mark string) string {
		return strings.Replace(line, " "+mark, fmt.Sprintf("\n%s{{- toYaml %s | nindent %d }}", strings.Repeat(" ", indentation(line)+2), expression, indentation(line)+2), 1)
	})
}

// literal is like block for text that contains YAML.
func (m *marks) literal(expression string) string {
	return m.add(func(line, mark string) string {
		return strings.Replace(line, mark, fmt.Sprintf("|\n%s{{- toYaml %s | nindent %d }}", strings.Repeat(" ", indentation(line)+2), expression, indentation(line)+2), 1)
	})
}

// optional is like block for a key that is omitted if its value is empty.
func (m *marks) optional(expression string) string {
	return m.add(func(line, mark string) string {
		return fmt.Sprintf("%[1]s{{- with %[2]s }}\n%[3]s\n%[1]s  {{- toYaml . | nindent %[4]d }}\n%[1]s{{- end }}",
			strings.Repeat(" ", indentation(line)), expression, strings.TrimSuffix(line, " "+mark), indentation(line)+2)
	})
}

// entries returns a mark for a key, in place of which the entries of a map are inserted.
func (m *marks) entries(expression string) string {
	return m.add(func(line, _ string) string {
		return fmt.Sprintf("%s{{- with %s }}{{ toYaml . | nindent %d }}{{ end }}", strings.Repeat(" ", indentation(line)), expression, indentation(line))
	})
}

// items returns a mark for an item of a list, in place of which those of another list of
// strings are inserted.
func (m *marks) items(expression string) string {
	return m.add(func(line, _ string) string {
		space := strings.Repeat(" ", indentation(line))
		return fmt.Sprintf("%[1]s{{- range %[2]s }}\n%[1]s- {{ . | quote }}\n%[1]s{{- end }}", space, expression)
	})
}

// lines returns a mark for a key or an item, in place of which lines of a template are
// inserted with its indentation.
func (m *marks) lines(lines ...string) string {
	return m.add(func(line, _ string) string {
		space := strings.Repeat(" ", indentation(line))
		return space + strings.Join(lines, "\n"+space)
	})
}

// linesIf is like lines, under a condition.
func (m *marks) linesIf(condition string, lines ...string) string {
	return m.lines(slices.Concat([]string{"{{- if " + condition + " }}"}, lines, []string{"{{- end }}"})...)
}

func replaceOnce(line, mark, by string) string { return strings.Replace(line, mark, by, 1) }

// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/acnodal/epic/pkg/node/cni/plugin"
)

// errNotUnderstood is the error for a configuration that is left unchanged.
var errNotUnderstood = errors.New("this network configuration does not support adding a plugin")

// member is a field of an object or an element of an array, with the position of its
// value in the text.
type member struct {
	key        string
	value      json.RawMessage
	start, end int
}

// members reads the fields of an object or the elements of an array, whose text
// begins at offset.
func members(text []byte, offset int, open json.Delim) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	first, err := d.Token()
	if err != nil || first != open {
		return nil, errNotUnderstood
	}
	var out []member
	for d.More() {
		var m member
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return nil, errNotUnderstood
			}
			m.key, _ = key.(string)
		}
		if err := d.Decode(&m.value); err != nil {
			return nil, errNotUnderstood
		}
		m.end = offset + int(d.InputOffset())
		m.start = m.end - len(m.value)
		out = append(out, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotUnderstood
	}
	return out, nil
}

// list is a list of plugins as a text.
type list struct {
	text    []byte
	plugins []member
	// open is the position after the bracket that begins the plugins.
	open int
}

// field returns the only field with a name.
func field(all []member, name string) (member, bool, error) {
	var found member
	n := 0
	for _, m := range all {
		if m.key == name {
			found = m
			n++
		}
	}
	if n > 1 {
		return found, false, fmt.Errorf("%w: it contains %q twice", errNotUnderstood, name)
	}
	return found, n == 1, nil
}

func text(m member) string {
	var s string
	if json.Unmarshal(m.value, &s) != nil {
		return ""
	}
	return s
}

// parseList parses a configuration list and checks that a plugin can be added to it.
func parseList(data []byte) (*list, error) {
	if !json.Valid(data) {
		return nil, fmt.Errorf("%w: it is not JSON", errNotUnderstood)
	}
	fields, err := members(data, 0, '{')
	if err != nil {
		return nil, err
	}
	if err := checkVersion(fields); err != nil {
		return nil, err
	}
	plugins, found, err := field(fields, "plugins")
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: it has no plugins", errNotUnderstood)
	}
	l := &list{text: data, open: plugins.start + 1}
	if l.plugins, err = members(plugins.value, plugins.start, '['); err != nil {
		return nil, err
	}
	for _, p := range l.plugins {
		if _, err := pluginType(p.value); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// pluginType returns the type of a plugin's configuration.
func pluginType(value []byte) (string, error) {
	fields, err := members(value, 0, '{')
	if err != nil {
		return "", err
	}
	m, found, err := field(fields, "type")
	if err != nil {
		return "", err
	}
	if !found || text(m) == "" {
		return "", fmt.Errorf("%w: a plugin has no type", errNotUnderstood)
	}
	return text(m), nil
}

// checkVersion rejects versions of the CNI specification without chains, which were
// introduced in 0.3.0.
func checkVersion(fields []member) error {
	name, found, err := field(fields, "name")
	if err != nil {
		return err
	}
	if !found || text(name) == "" {
		return fmt.Errorf("%w: it has no name", errNotUnderstood)
	}
	v, _, err := field(fields, "cniVersion")
	if err != nil {
		return err
	}
	parts := strings.SplitN(text(v), ".", 3)
	if len(parts) == 3 {
		major, err1 := strconv.Atoi(parts[0])
		minor, err2 := strconv.Atoi(parts[1])
		if err1 == nil && err2 == nil && (major > 0 || minor >= 3) {
			return nil
		}
	}
	return fmt.Errorf("%w: its cniVersion is %q, but lists of plugins require 0.3.0", errNotUnderstood, text(v))
}

// own returns the indexes of EPIC's plugin among the plugins.
func (l *list) own() []int {
	var out []int
	for i, p := range l.plugins {
		if t, err := pluginType(p.value); err == nil && t == plugin.Type {
			out = append(out, i)
		}
	}
	return out
}

// addPlugin returns a list with a plugin at its end. The rest of the text is unchanged,
// byte for byte. An existing entry is not changed.
func addPlugin(data, entry []byte) ([]byte, error) {
	l, err := parseList(data)
	if err != nil {
		return nil, err
	}
	own := l.own()
	if len(own) == 1 && own[0] == len(l.plugins)-1 && own[0] > 0 && sameJSON(l.plugins[own[0]].value, entry) {
		return data, nil
	}
	if len(own) > 0 {
		if data, err = removePlugin(data); err != nil {
			return nil, err
		}
		if l, err = parseList(data); err != nil {
			return nil, err
		}
	}
	if len(l.plugins) == 0 {
		return nil, fmt.Errorf("%w: it has no other plugin", errNotUnderstood)
	}
	// Use the layout of the previous one.
	last := l.plugins[len(l.plugins)-1]
	before := l.open
	if n := len(l.plugins); n > 1 {
		before = l.plugins[n-2].end
	}
	gap := bytes.TrimLeft(bytes.ReplaceAll(data[before:last.start], []byte(","), nil), ",")
	return splice(data, last.end, last.end, concat([]byte(","), gap, entry))
}

// removePlugin returns a list without a plugin.
func removePlugin(data []byte) ([]byte, error) {
	l, err := parseList(data)
	if err != nil {
		return nil, err
	}
	own := l.own()
	for i := len(own) - 1; i >= 0; i-- {
		at := own[i]
		from, to := l.plugins[at].start, l.plugins[at].end
		switch {
		case at > 0:
			from = l.plugins[at-1].end
		case len(l.plugins) > 1:
			to = l.plugins[1].start
		}
		if data, err = splice(data, from, to, nil); err != nil {
			return nil, err
		}
		if l, err = parseList(data); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// listOf converts the configuration of one plugin to a list.
func listOf(conf []byte) ([]byte, error) {
	if !json.Valid(conf) {
		return nil, fmt.Errorf("%w: it is not JSON", errNotUnderstood)
	}
	fields, err := members(conf, 0, '{')
	if err != nil {
		return nil, err
	}
	if err := checkVersion(fields); err != nil {
		return nil, err
	}
	if _, err := pluginType(conf); err != nil {
		return nil, err
	}
	name, _, _ := field(fields, "name")
	version, _, _ := field(fields, "cniVersion")
	return concat([]byte("{\n  \"cniVersion\": "), version.value, []byte(",\n  \"name\": "), name.value,
		[]byte(",\n  \"plugins\": [\n    "), bytes.TrimSpace(conf), []byte("\n  ]\n}\n")), nil
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// splice replaces a part of a text, and verifies that the result is JSON.
func splice(data []byte, from, to int, with []byte) ([]byte, error) {
	out := concat(data[:from], with, data[to:])
	if !json.Valid(out) {
		return nil, errNotUnderstood
	}
	return out, nil
}

func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// SPDX-License-Identifier: Apache-2.0

package cost

import (
	"fmt"
	"reflect"
	"strings"
)

// path leads from a kind's object to one field, by JSON names. Steps into the
// entries of a list are "[]", those into the values of a map "{}".
type path []string

func (p path) String() string { return strings.Join(p, ".") }

// targets are all fields of a type that hold a list, a map or text, at whatever
// depth.
func targets(t reflect.Type) []target {
	var out []target
	walk(t, nil, map[reflect.Type]int{}, &out)
	return out
}

// target is one field to put much into.
type target struct {
	path path
	kind reflect.Kind
	// elem is the kind of a list's entries or a map's values.
	elem reflect.Kind
}

func walk(t reflect.Type, at path, open map[reflect.Type]int, out *[]target) {
	// Types that contain themselves are walked once.
	if open[t] > 0 && t.Kind() == reflect.Struct {
		return
	}
	open[t]++
	defer func() { open[t]-- }()
	at = append(path(nil), at...)
	switch t.Kind() {
	case reflect.Pointer:
		walk(t.Elem(), at, open, out)
	case reflect.String:
		*out = append(*out, target{path: at, kind: reflect.String})
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return
		}
		*out = append(*out, target{path: at, kind: reflect.Slice, elem: base(t.Elem())})
		walk(t.Elem(), append(at, "[]"), open, out)
	case reflect.Map:
		*out = append(*out, target{path: at, kind: reflect.Map, elem: base(t.Elem())})
		walk(t.Elem(), append(at, "{}"), open, out)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			switch {
			case !f.IsExported() || name == "-":
			case name == "" && (f.Anonymous || strings.Contains(options, "inline")):
				walk(f.Type, at, open, out)
			case name != "":
				walk(f.Type, append(at, name), open, out)
			}
		}
	default:
	}
}

func base(t reflect.Type) reflect.Kind {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind()
}

// payloads are what is put into a target, each about size bytes long.
func (t target) payloads(size int) map[string]string {
	switch t.kind {
	case reflect.String:
		out := map[string]string{}
		for name, unit := range map[string]string{
			"letters": "a", "control": `\n`, "dots": "a.", "dashes": "-", "digits": "1", "slashes": "/", "commas": "10.0.0.0/8,",
			"templates": "{{.LBName}}", "conditions": "{{if 1}}", "parentheses": "{{((((", "regular expressions": "[a-z]{9}", "unicode classes": `\\pL`, "groups": "(a|",
			"yaml lists": "[", "yaml keys": `a: b\n`, "colons": "::", "unicode": "é",
		} {
			out[name] = `"` + strings.Repeat(unit, size/len(unit)) + `"`
		}
		out["repetitions"] = `"` + strings.Repeat("([ab]{999})", size/11) + `"`
		out["yaml references"] = `"a: &a [x,x]\n` + strings.Repeat(`b: [*a,*a]\n`, size/12) + `"`
		return out
	case reflect.Slice:
		entries := map[string]string{"nulls": "null"}
		switch t.elem {
		case reflect.String:
			entries["empty"], entries["short"], entries["odd"] = `""`, `"a"`, `"\n"`
		case reflect.Struct:
			entries["empty"], entries["named"], entries["typed"] = "{}", `{"name":"a"}`, `{"type":"a","value":"b"}`
		default:
			entries["zeros"] = "0"
		}
		out := map[string]string{}
		for name, e := range entries {
			out[name] = "[" + strings.TrimSuffix(strings.Repeat(e+",", size/(len(e)+1)), ",") + "]"
		}
		return out
	case reflect.Map:
		value := map[reflect.Kind]string{reflect.String: `""`, reflect.Struct: "{}", reflect.Map: "{}", reflect.Slice: "[]"}[t.elem]
		if value == "" {
			value = "0"
		}
		out := map[string]string{}
		for name, key := range map[string]string{"keys": "%x", "addresses": "10.%d.0.1", "odd keys": "-%d "} {
			var b strings.Builder
			for i := 0; b.Len() < size; i++ {
				fmt.Fprintf(&b, "%q:%s,", fmt.Sprintf(key, i), value)
			}
			out[name] = "{" + strings.TrimSuffix(b.String(), ",") + "}"
		}
		return out
	default:
	}
	return nil
}

// body writes an object of a kind with a payload at a target.
func body(kind, namespace, name string, at path, payload string) string {
	value := payload
	for i := len(at) - 1; i >= 0; i-- {
		switch at[i] {
		case "[]":
			value = "[" + value + "]"
		case "{}":
			value = `{"a":` + value + "}"
		default:
			value = fmt.Sprintf("{%q:%s}", at[i], value)
		}
	}
	head := fmt.Sprintf(`"apiVersion":"epic.acnodal.io/v1","kind":%q`, kind)
	if len(at) > 0 && at[0] == "metadata" {
		return "{" + head + "," + value[1:]
	}
	return fmt.Sprintf(`{%s,"metadata":{"namespace":%q,"name":%q},%s`, head, namespace, name, value[1:])
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const artifacts = "../../artifacts"

// The templates in the repository are those that the kustomizations make.
func TestTheChartsAreCurrent(t *testing.T) {
	if err := run(artifacts, true); err != nil {
		t.Error(err)
	}
}

// A template that was edited, or that nothing makes, is found.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(artifacts)); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, true); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(dir, "charts/epic/templates/node/stray.yaml")
	edited := filepath.Join(dir, "charts/epic-connector/templates/connector/gatewayclass-epic.yaml")
	base := filepath.Join(dir, "install/controller/deployment.yaml")
	for file, want := range map[string]string{stray: "nothing makes", edited: "is not made of", base: "is not made of"} {
		before, _ := os.ReadFile(file)
		text := strings.Replace(string(before), "replicas: 2", "replicas: 3", 1) + "# another line\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if file == base {
			// The number of replicas is a value; another argument is not.
			text = strings.Replace(text, "--bind-address=:7445", "--bind-address=:1", 1)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := run(dir, true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
		if err := run(dir, false); err != nil {
			t.Fatal(err)
		}
		if err := run(dir, true); err != nil {
			t.Errorf("%s: after it was written again: %v", file, err)
		}
	}
}

func TestMarks(t *testing.T) {
	m := &marks{}
	content := map[string]any{
		"image": m.value(".Values.image"), "part": "--x=" + m.value("1"), "block": m.block(".Values.block"), "maybe": m.optional(".Values.maybe"),
		"map": map[string]any{"a": "b", m.entries(".Values.more"): nil}, "list": []any{"a", m.items(".Values.items")},
		"text": m.literal(".Values.text"), "prometheus": "{{ $labels.pod }}", "nested": map[string]any{m.lines("{{- if x }}", "y: 1", "{{- end }}"): nil},
	}
	text, _, err := apply([]edit{{change: func(into *marks, _ map[string]any) error { *into = *m; return nil }}}, identity{}, root{}, content)
	if err != nil {
		t.Fatal(err)
	}
	want := `block:
  {{- toYaml .Values.block | nindent 2 }}
image: {{ .Values.image }}
list:
- a
{{- range .Values.items }}
- {{ . | quote }}
{{- end }}
map:
  {{- with .Values.more }}{{ toYaml . | nindent 2 }}{{ end }}
  a: b
{{- with .Values.maybe }}
maybe:
  {{- toYaml . | nindent 2 }}
{{- end }}
nested:
  {{- if x }}
  y: 1
  {{- end }}
part: --x={{ 1 }}
prometheus: '{{ "{{" }} $labels.pod }}'
text: |
  {{- toYaml .Values.text | nindent 2 }}
`
	if text != want {
		t.Errorf("The template is\n%s\nwant\n%s", text, want)
	}
}

// An edit that finds nothing to change is an error: the manifests have changed.
func TestEditsFindTheirPlaces(t *testing.T) {
	content := map[string]any{"spec": map[string]any{"args": []any{"--a=1"}, "name": "x"}}
	for name, err := range map[string]error{
		"set":     set(content, "spec", "replicas", 1),
		"add":     add(content, "spec", "name", 1),
		"replace": replace(content, "spec.args", "--b=", "1"),
		"append":  appendTo(content, "spec", "name", 1),
		"path":    set(content, "spec.template", "x", 1),
		"index":   set(content, "spec.args.1", "x", 1),
		"scalar":  set(content, "spec.name", "x", 1),
	} {
		if err == nil {
			t.Errorf("%s: it succeeds", name)
		}
	}
	if err := replace(content, "spec.args", "--a=", "2"); err != nil || content["spec"].(map[string]any)["args"].([]any)[0] != "--a=2" {
		t.Errorf("%v, %v", err, content)
	}
}

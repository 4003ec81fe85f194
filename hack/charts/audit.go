// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// auditPolicyName changes with the policy, so the server starts again with a new one.
const auditPolicyName = `epic-audit-policy-{{ include "epic.auditHash" . }}`

// audited has the server record requests if a value says so, as components/audit does.
func audited(m *marks, content map[string]any) error {
	spec, err := mapAt(content, "spec.template.spec")
	if err != nil {
		return err
	}
	const when, end = "{{- if .Values.audit.enabled }}", "{{- end }}"
	if err := appendTo(spec, "containers.0", "args", m.lines(when, "- --audit-policy-file=/etc/epic/audit/policy.yaml", "- --audit-log-path=-", end)); err != nil {
		return err
	}
	if err := prependTo(spec, "containers.0", "volumeMounts", m.lines(when, "- mountPath: /etc/epic/audit", "  name: audit-policy", "  readOnly: true", end)); err != nil {
		return err
	}
	return prependTo(spec, "", "volumes", m.lines(when, "- configMap:", "    name: "+auditPolicyName, "  name: audit-policy", end))
}

// auditPolicy lets a value replace the policy.
func auditPolicy(m *marks, content map[string]any) error {
	const file = "policy.yaml"
	found, err := at(content, "data")
	if err != nil {
		return err
	}
	data, _ := found.(map[string]any)
	shipped, ok := data[file].(string)
	if !ok {
		return fmt.Errorf("the ConfigMap has no %s", file)
	}
	data[file] = m.add(func(line, mark string) string {
		n := indentation(line) + 2
		space := strings.Repeat(" ", n)
		text := strings.ReplaceAll(space+strings.ReplaceAll(strings.TrimSpace(shipped), "\n", "\n"+space), space+"\n", "\n")
		return strings.Replace(line, mark, fmt.Sprintf("|\n%[1]s{{- with .Values.audit.policy }}{{ trim . | nindent %[2]d }}{{ else }}\n%[3]s\n%[1]s{{- end }}", space, n, text), 1)
	})
	return set(content, "metadata", "name", m.add(func(line, mark string) string { return replaceOnce(line, mark, auditPolicyName) }))
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// auditPolicyName changes with the policy, so the server restarts with a new one.
const auditPolicyName = `epic-audit-policy-{{ include "epic.auditHash" . }}`

// audited makes the server record requests if a value enables it, like components/audit.
func audited() feature {
	return feature{
		when:   ".Values.audit.enabled",
		args:   []string{"- --audit-policy-file=/etc/epic/audit/policy.yaml", "- --audit-log-path=-"},
		mount:  []string{"- mountPath: /etc/epic/audit", "  name: audit-policy", "  readOnly: true"},
		volume: []string{"- configMap:", "    name: " + auditPolicyName, "  name: audit-policy"},
	}
}

// auditPolicy allows a value to replace the policy.
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

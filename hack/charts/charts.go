// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

func charts() []chart { return []chart{gatewayCluster(), clientCluster()} }

const (
	oneMember    = "overlays/one-member"
	threeMembers = "overlays/three-members"
	external     = "overlays/external-etcd"
)

func topology(name string) string { return `eq .Values.etcd.topology "` + name + `"` }

func gatewayCluster() chart {
	certManager := `eq .Values.certificates.source "cert-manager"`
	c := chart{name: "epic", groups: []group{
		{"server", []root{{oneMember, topology("one-member")}, {threeMembers, topology("three-members")}, {external, topology("external")}}},
		{"setup", []root{{"setup", ""}}},
		{"audit", []root{{"audit", ".Values.audit.enabled"}}},
		{"backup", []root{{"backup", ".Values.backup.enabled"}}},
		{"etcd-maintenance", []root{{"etcd-maintenance", ".Values.etcdMaintenance.enabled"}}},
		{"certificates", []root{{"overlays/cert-manager/serving.yaml", certManager}, {"overlays/cert-manager/etcd.yaml", `and (` + certManager + `) (` + topology("three-members") + `)`}}},
		{"node", []root{{"node", ".Values.node.enabled"}}},
		{"operator", []root{{"operator", ".Values.operator.enabled"}}},
		{"monitoring", []root{{"monitoring", ".Values.monitoring.enabled"}}},
	}}
	// Before the arguments that users add.
	c.edits = append(c.edits,
		edit{kinds: []string{"Deployment"}, names: []string{"epic-apiserver"}, change: audited().add},
		edit{kinds: []string{"Deployment"}, names: []string{"epic-apiserver"}, roots: []string{oneMember}, change: embeddedBackup().add},
		edit{kinds: []string{"ConfigMap"}, names: []string{"epic-audit-policy"}, change: auditPolicy})
	for _, p := range []program{
		{kind: "Deployment", name: "epic-apiserver", values: "apiserver", containers: []string{"epic-apiserver"}, resources: "epic-apiserver", roots: []string{oneMember}},
		{kind: "Deployment", name: "epic-apiserver", values: "apiserver", containers: []string{"epic-apiserver"}, resources: "epic-apiserver", replicas: true, roots: []string{threeMembers, external}},
		{kind: "StatefulSet", name: "epic-etcd", values: "etcd", containers: []string{"etcd"}, resources: "etcd"},
		{kind: "Deployment", name: "epic-controller", values: "controller", containers: []string{"epic-controller"}, resources: "epic-controller", replicas: true},
		{kind: "Deployment", name: "epic-operator", values: "operator", containers: []string{"epic-operator", "validator"}, resources: "epic-operator", replicas: true},
		{kind: "DaemonSet", name: "epic-node", values: "node", containers: []string{"epic-node"}, resources: "epic-node"},
		{kind: "Job", name: "epic-setup", values: "setup", containers: []string{"epic-setup"}, resources: "epic-setup"},
		{kind: "Job", name: "epic-backup", values: "backup", containers: []string{"epic-backup"}, resources: "epic-backup"},
		{kind: "CronJob", name: "epic-backup", values: "backup", pod: "spec.jobTemplate.spec.template", containers: []string{"epic-backup"}, resources: "epic-backup"},
		{kind: "CronJob", name: "epic-etcd-maintenance", values: "etcdMaintenance", pod: "spec.jobTemplate.spec.template", containers: []string{"epic-etcd-maintenance"}, resources: "epic-etcd-maintenance"},
		{kind: "CronJob", name: "epic-setup", values: "setup", pod: "spec.jobTemplate.spec.template", containers: []string{"epic-setup"}, resources: "epic-setup"},
	} {
		c.edits = append(c.edits, p.edits()...)
	}
	for name, values := range map[string]string{"epic-apiserver": "apiserver", "epic-controller": "controller", "epic-operator": "operator", "epic-node": "node", "epic-setup": "setup"} {
		c.edits = append(c.edits, serviceAccount(name, values))
	}
	c.edits = append(c.edits, namespaces(),
		edit{kinds: []string{"NetworkPolicy"}, when: ".Values.networkPolicies.enabled"},
		jobName("epic-setup"), jobName("epic-backup"),
		edit{kinds: []string{"Job", "CronJob"}, names: []string{"epic-backup", "epic-etcd-maintenance"}, when: `ne .Values.etcd.topology "one-member"`},
		edit{kinds: []string{"Job"}, names: []string{"epic-backup"}, change: backupArguments("spec.template.spec")},
		edit{kinds: []string{"CronJob"}, names: []string{"epic-backup"}, change: func(m *marks, content map[string]any) error {
			if err := set(content, "spec", "schedule", m.value(".Values.backup.schedule | quote")); err != nil {
				return err
			}
			return backupArguments("spec.jobTemplate.spec.template.spec")(m, content)
		}},
		edit{kinds: []string{"CronJob"}, names: []string{"epic-etcd-maintenance"}, change: etcdMaintenance},
		edit{kinds: []string{"Job"}, names: []string{"epic-setup"}, change: setupArguments("spec.template")},
		edit{kinds: []string{"CronJob"}, names: []string{"epic-setup"}, change: func(m *marks, content map[string]any) error {
			const pod = "spec.jobTemplate.spec.template"
			if err := replace(content, pod+".spec.containers.0.args", "--tunnel-key-rotation=", m.value(".Values.tunnelKeys.rotation")); err != nil {
				return err
			}
			return setupArguments(pod)(m, content)
		}},
		edit{kinds: []string{"ConfigMap"}, names: []string{"epic-setup"}, change: func(m *marks, content map[string]any) error {
			return set(content, "data", "spec.yaml", m.literal(".Values.epic.spec"))
		}},
		dashboards(),
		edit{kinds: []string{"APIService"}, change: authority},
		edit{kinds: []string{"Deployment"}, names: []string{"epic-apiserver"}, roots: []string{external}, change: externalEtcd},
		edit{kinds: []string{"Deployment"}, names: []string{"epic-operator"}, change: proxyImages},
		edit{kinds: []string{"PersistentVolumeClaim"}, change: func(m *marks, content map[string]any) error {
			if err := add(content, "metadata", "annotations", map[string]any{"helm.sh/resource-policy": "keep"}); err != nil {
				return err
			}
			if name, _ := at(content, "metadata.name"); name == "epic-backup" {
				return storage(m, content, ".Values.backup.storage")
			}
			return storage(m, content, ".Values.etcd.storage")
		}},
		edit{kinds: []string{"StatefulSet"}, change: func(m *marks, content map[string]any) error {
			claim, err := mapAt(content, "spec.volumeClaimTemplates.0")
			if err != nil {
				return err
			}
			return storage(m, claim, ".Values.etcd.storage")
		}},
	)
	return c
}

// dashboards returns an edit that omits them if a value disables them.
func dashboards() edit {
	return edit{
		kinds: []string{"ConfigMap"}, names: []string{"epic-dashboard-platform", "epic-dashboard-tenant", "epic-dashboard-client-cluster"},
		when: ".Values.monitoring.dashboards",
	}
}

// storage makes the volume of a claim configurable.
func storage(m *marks, claim map[string]any, values string) error {
	if err := set(claim, "spec.resources.requests", "storage", m.value(values+".size")); err != nil {
		return err
	}
	return add(claim, "spec", m.lines("{{- with "+values+".storageClassName }}", "storageClassName: {{ . }}", "{{- end }}"), nil)
}

// jobName derives the name of a Job from its content, because a Job can't be changed.
func jobName(name string) edit {
	return edit{kinds: []string{"Job"}, names: []string{name}, change: func(m *marks, content map[string]any) error {
		return set(content, "metadata", "name", name+"-"+m.value(`include "epic.hash" .`))
	}}
}

const keepSnapshots = ".Values.backup.keep"

// backupArguments makes configurable which etcd is saved, and how many snapshots are
// kept.
func backupArguments(pod string) func(*marks, map[string]any) error {
	return func(m *marks, content map[string]any) error {
		spec, err := mapAt(content, pod)
		if err != nil {
			return err
		}
		if err := replace(spec, "containers.0.args", "--backup-keep=", m.value(keepSnapshots)); err != nil {
			return err
		}
		return anyEtcd(m, spec)
	}
}

// anyEtcd makes the etcd of a pod configurable.
func anyEtcd(m *marks, spec map[string]any) error {
	args, err := at(spec, "containers.0.args")
	if err != nil {
		return err
	}
	list, _ := args.([]any)
	for _, arg := range list {
		if servers, ok := strings.CutPrefix(fmt.Sprint(arg), "--etcd-servers="); ok {
			if err := replace(spec, "containers.0.args", "--etcd-servers=", m.value(fmt.Sprintf(`ternary (join "," .Values.etcd.external.endpoints) %q (%s)`, servers, topology("external")))); err != nil {
				return err
			}
		}
	}
	return etcdSecret(m, spec, `ternary .Values.etcd.external.secretName "epic-apiserver-etcd-tls" (`+topology("external")+`)`)
}

// etcdMaintenance makes configurable when etcd is defragmented, and which one.
func etcdMaintenance(m *marks, content map[string]any) error {
	if err := set(content, "spec", "schedule", m.value(".Values.etcdMaintenance.schedule | quote")); err != nil {
		return err
	}
	spec, err := mapAt(content, "spec.jobTemplate.spec.template.spec")
	if err != nil {
		return err
	}
	if err := replace(spec, "containers.0.args", "--min-free=", m.value(".Values.etcdMaintenance.minFree")); err != nil {
		return err
	}
	return anyEtcd(m, spec)
}

// embeddedBackup makes the server save its embedded etcd, like
// components/backup-embedded.
func embeddedBackup() feature {
	return feature{
		when:   ".Values.backup.enabled",
		args:   []string{"- --backup-dir=/var/lib/epic-backup/snapshots", "- --backup-keep={{ " + keepSnapshots + " }}"},
		mount:  []string{"- mountPath: /var/lib/epic-backup", "  name: backup"},
		volume: []string{"- name: backup", "  persistentVolumeClaim:", "    claimName: epic-backup"},
	}
}

func setupArguments(pod string) func(*marks, map[string]any) error {
	return func(m *marks, content map[string]any) error {
		args := pod + ".spec.containers.0.args"
		if err := replace(content, args, "--etcd-members=", m.value(`ternary 3 0 (`+topology("three-members")+`)`)); err != nil {
			return err
		}
		return replace(content, args, "--certificates=", m.value(`eq .Values.certificates.source "self-signed"`))
	}
}

// authority sets what verifies the API server's certificate: cert-manager or the setup
// sets it, unless the values do.
func authority(m *marks, content map[string]any) error {
	if err := add(content, "metadata", m.linesIf(`eq .Values.certificates.source "cert-manager"`,
		"annotations:", "  cert-manager.io/inject-ca-from: epic-system/epic-apiserver"), nil); err != nil {
		return err
	}
	return add(content, "spec", m.linesIf(`eq .Values.certificates.source "provided"`,
		`caBundle: {{ required "certificates.caBundle is missing: give the authority, in PEM, that signed the certificate in the Secret epic-apiserver-tls" .Values.certificates.caBundle | b64enc }}`), nil)
}

func externalEtcd(m *marks, content map[string]any) error {
	spec, err := mapAt(content, "spec.template.spec")
	if err != nil {
		return err
	}
	if err := replace(spec, "containers.0.args", "--etcd-servers=", m.value(
		`required "etcd.external.endpoints is missing: give the URL of each member of etcd" (join "," .Values.etcd.external.endpoints)`)); err != nil {
		return err
	}
	return etcdSecret(m, spec, ".Values.etcd.external.secretName")
}

// etcdSecret makes the Secret with a pod's etcd credentials depend on an expression.
func etcdSecret(m *marks, spec map[string]any, expression string) error {
	volumes, _ := spec["volumes"].([]any)
	for _, volume := range volumes {
		if v, _ := volume.(map[string]any); v["name"] == "etcd-tls" {
			return set(v, "secret", "secretName", m.value(expression))
		}
	}
	return nil
}

// proxyImages sets the images that the operator uses for proxies.
func proxyImages(m *marks, content map[string]any) error {
	const args = "spec.template.spec.containers.0.args"
	if err := replace(content, args, "--envoy-image=", m.value(`include "epic.image" (list $ .Values.operator.envoyImage)`)); err != nil {
		return err
	}
	return replace(content, args, "--proxy-image=", m.value(`include "epic.image" (list $ .Values.operator.proxyImage)`))
}

func clientCluster() chart {
	c := chart{name: "epic-connector", groups: []group{
		{"connector", []root{{"connector", ""}}},
		{"monitoring", []root{{"monitoring-client", ".Values.monitoring.enabled"}}},
	}}
	for _, p := range []program{
		{kind: "Deployment", name: "epic-connector", values: "connector", containers: []string{"epic-connector"}, resources: "epic-connector", replicas: true},
		{kind: "DaemonSet", name: "epic-node-client", values: "node", containers: []string{"epic-node"}, resources: "epic-node"},
	} {
		c.edits = append(c.edits, p.edits()...)
	}
	settings := `epic-node-client-{{ include "epic.settingsHash" . }}`
	c.edits = append(c.edits, namespaces(), dashboards(), serviceAccount("epic-connector", "connector"), serviceAccount("epic-node-client", "node"),
		edit{kinds: []string{"Deployment"}, change: func(m *marks, content map[string]any) error {
			container, err := mapAt(content, "spec.template.spec.containers.0")
			if err != nil {
				return err
			}
			if err := set(container, "env.0", "value", m.value(".Values.cluster | quote")); err != nil {
				return err
			}
			return appendTo(container, "", "args", m.lines("{{- with .Values.group }}", `- {{ printf "--service-group=%s" . | quote }}`, "{{- end }}",
				"{{- with .Values.formerClusters }}", `- {{ printf "--former-clusters=%s" (join "," .) | quote }}`, "{{- end }}"))
		}},
		edit{kinds: []string{"ConfigMap"}, names: []string{"epic-node-client"}, change: func(m *marks, content map[string]any) error {
			if err := set(content, "metadata", "name", m.add(func(line, mark string) string { return replaceOnce(line, mark, settings) })); err != nil {
				return err
			}
			if err := set(content, "data", "ACCOUNT_NAMESPACE", m.value(`printf "epic-%s" .Values.account | quote`)); err != nil {
				return err
			}
			return set(content, "data", "CLUSTER", m.value(".Values.cluster | quote"))
		}},
		edit{kinds: []string{"DaemonSet"}, change: func(m *marks, content map[string]any) error {
			found, err := at(content, "spec.template.spec.containers.0.env")
			if err != nil {
				return err
			}
			list, _ := found.([]any)
			for _, item := range list {
				v, _ := item.(map[string]any)
				if ref, err := mapAt(v, "valueFrom.configMapKeyRef"); err == nil {
					ref["name"] = m.add(func(line, mark string) string { return replaceOnce(line, mark, settings) })
				}
			}
			return nil
		}},
		edit{kinds: []string{"GatewayClass"}, when: ".Values.gatewayClass.create", change: func(m *marks, content map[string]any) error {
			if err := set(content, "metadata", "name", m.value(".Values.gatewayClass.name")); err != nil {
				return err
			}
			return add(content, "spec", m.lines("{{- with .Values.group }}", "parametersRef:", "  group: epic.acnodal.io", "  kind: LBServiceGroup", "  name: {{ . | quote }}", "{{- end }}"), nil)
		}},
	)
	return c
}

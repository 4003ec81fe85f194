// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

// program is a program whose pods are configurable.
type program struct {
	// kind and name identify its Deployment, DaemonSet and so on.
	kind, name string
	// values is the path of its values, such as apiserver.
	values string
	// pod is the path of the pod template, spec.template by default.
	pod string
	// containers are those with its image, and resources the one whose resources are
	// configurable. Those of the others are fixed.
	containers []string
	resources  string
	// replicas makes the number of replicas configurable.
	replicas bool
	roots    []string
}

func (p program) edits() []edit {
	return []edit{{kinds: []string{p.kind}, names: []string{p.name}, roots: p.roots, change: p.change}}
}

func (p program) change(m *marks, content map[string]any) error {
	values := ".Values." + p.values
	template := p.pod
	if template == "" {
		template = "spec.template"
	}
	if p.replicas {
		if err := set(content, "spec", "replicas", m.value(values+".replicas")); err != nil {
			return err
		}
	}
	metadata, err := mapAt(content, template+".metadata")
	if err != nil {
		return err
	}
	metadata["annotations"] = m.optional(values + ".podAnnotations")
	spec, err := mapAt(content, template+".spec")
	if err != nil {
		return err
	}
	spec["imagePullSecrets"] = m.optional(".Values.image.pullSecrets")
	if _, ok := spec["priorityClassName"]; ok {
		spec["priorityClassName"] = m.value(values + ".priorityClassName")
	}
	if selector, ok := spec["nodeSelector"].(map[string]any); ok {
		for key := range selector {
			if key != "kubernetes.io/os" {
				delete(selector, key)
			}
		}
		selector[m.entries(values+".nodeSelector")] = nil
	} else {
		spec["nodeSelector"] = m.optional(values + ".nodeSelector")
	}
	spec["tolerations"] = m.optional(values + ".tolerations")
	return p.changeContainers(m, template, spec)
}

func (p program) changeContainers(m *marks, template string, spec map[string]any) error {
	values := ".Values." + p.values
	containers, _ := spec["containers"].([]any)
	found := 0
	for i := range containers {
		container, err := mapAt(spec, fmt.Sprintf("containers.%d", i))
		if err != nil {
			return err
		}
		for _, name := range p.containers {
			if container["name"] != name {
				continue
			}
			found++
			container["image"] = m.value(`include "epic.image" (list $ ` + values + ".image)")
			container["imagePullPolicy"] = m.value(".Values.image.pullPolicy")
			if name != p.resources {
				continue
			}
			container["resources"] = m.block(values + ".resources")
			if err := appendTo(spec, fmt.Sprintf("containers.%d", i), "args", m.items(values+".extraArgs")); err != nil {
				return err
			}
		}
	}
	if found != len(p.containers) {
		return fmt.Errorf("%s has %d of the containers %v", template, found, p.containers)
	}
	return nil
}

// serviceAccount makes the annotations of a service account configurable.
func serviceAccount(name, values string) edit {
	return edit{kinds: []string{"ServiceAccount"}, names: []string{name}, change: func(m *marks, content map[string]any) error {
		return add(content, "metadata", "annotations", m.optional(".Values."+values+".serviceAccount.annotations"))
	}}
}

// namespaces keeps them when a release is uninstalled, because they contain data and
// keys, and leaves them to Helm if it is configured to create them.
func namespaces() edit {
	return edit{kinds: []string{"Namespace"}, when: `ne .Release.Namespace "NAME"`, change: func(_ *marks, content map[string]any) error {
		return add(content, "metadata", "annotations", map[string]any{"helm.sh/resource-policy": "keep"})
	}}
}

// SPDX-License-Identifier: Apache-2.0

package main

// feature is what a value adds to the first container of a Deployment and to its pod,
// like a component for the kustomizations.
type feature struct {
	// when is the condition, as the arguments of "if".
	when string
	// args, mount and volume are the lines of the container's arguments, its volume mount, and
	// the pod's volume.
	args, mount, volume []string
}

func (f feature) add(m *marks, content map[string]any) error {
	spec, err := mapAt(content, "spec.template.spec")
	if err != nil {
		return err
	}
	if err := appendTo(spec, "containers.0", "args", m.linesIf(f.when, f.args...)); err != nil {
		return err
	}
	if err := prependTo(spec, "containers.0", "volumeMounts", m.linesIf(f.when, f.mount...)); err != nil {
		return err
	}
	return prependTo(spec, "", "volumes", m.linesIf(f.when, f.volume...))
}

// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// checkArgs fails if a manifest starts the program with a command or a flag that it
// does not have.
func checkArgs(t *testing.T, where string, args []string) {
	t.Helper()
	cmd, rest, err := newCommand().Find(args)
	if err != nil || !cmd.Runnable() || cmd.Name() == program {
		t.Errorf("%s: %v is no command: %v", where, args, err)
		return
	}
	for _, arg := range rest {
		if strings.HasPrefix(arg, "$") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		if !strings.HasPrefix(arg, "--") || cmd.Flags().Lookup(name) == nil {
			t.Errorf("%s: %s has no flag %s", where, cmd.CommandPath(), arg)
		}
	}
}

// daemonSets reads the DaemonSets of artifacts/install.
func daemonSets(t *testing.T) map[string]*appsv1.DaemonSet {
	t.Helper()
	files, err := filepath.Glob("../../../artifacts/install/node*/daemonset.yaml")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*appsv1.DaemonSet{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
		ds := &appsv1.DaemonSet{}
		if err := d.Decode(ds); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if err := d.Decode(&appsv1.DaemonSet{}); !errors.Is(err, io.EOF) {
			t.Errorf("%s has more than one object", file)
		}
		out[filepath.Base(filepath.Dir(file))] = ds
	}
	return out
}

func TestDaemonSets(t *testing.T) {
	sets := daemonSets(t)
	if len(sets) != 4 {
		t.Errorf("there are %d DaemonSets, not 4", len(sets))
	}
	for name, ds := range sets {
		spec := ds.Spec.Template.Spec
		if !spec.HostNetwork || spec.HostPID || spec.HostIPC {
			t.Errorf("%s: it is to share the host's network and no more", name)
		}
		volumes := map[string]bool{}
		for _, v := range spec.Volumes {
			volumes[v.Name] = true
		}
		for _, c := range append(slices.Clone(spec.InitContainers), spec.Containers...) {
			checkArgs(t, name+"/"+c.Name, c.Args)
			s := c.SecurityContext
			if s.Privileged != nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
				t.Errorf("%s/%s has more rights than it needs", name, c.Name)
			}
			if name != "node" && slices.Contains(s.Capabilities.Add, "SYS_ADMIN") {
				t.Errorf("%s/%s enters no namespace and has SYS_ADMIN", name, c.Name)
			}
			for _, m := range c.VolumeMounts {
				if !volumes[m.Name] {
					t.Errorf("%s/%s mounts %s, which is no volume", name, c.Name, m.Name)
				}
			}
		}
	}
}

// The patch that gives the client nodes their credentials from a connector has arguments of
// its own.
func TestConnectorsPatch(t *testing.T) {
	data, err := os.ReadFile("../../../artifacts/install/connector/nodes-patch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	ds := &appsv1.DaemonSet{}
	if err := yaml.Unmarshal(data, ds); err != nil {
		t.Fatal(err)
	}
	checkArgs(t, "connector", ds.Spec.Template.Spec.Containers[0].Args)
}

func TestSystemdUnits(t *testing.T) {
	units, err := filepath.Glob("../../../artifacts/systemd/*.service")
	if err != nil || len(units) != 2 {
		t.Fatalf("%v, %v", units, err)
	}
	for _, unit := range units {
		data, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for line := range strings.Lines(string(data)) {
			if start, ok := strings.CutPrefix(strings.TrimSpace(line), "ExecStart=/usr/local/bin/epic-node "); ok {
				found = true
				checkArgs(t, filepath.Base(unit), strings.Fields(start))
			}
		}
		if !found {
			t.Errorf("%s does not start the program", unit)
		}
	}
}

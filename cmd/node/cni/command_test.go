// SPDX-License-Identifier: Apache-2.0

package cni

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstallCommands(t *testing.T) {
	root := t.TempDir()
	program := filepath.Join(root, "program")
	conf := filepath.Join(root, "net.d")
	path := filepath.Join(conf, "10-n.conflist")
	const original = `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]}`
	if err := os.Mkdir(conf, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{program: "plugin", path: original} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		cmd := New()
		cmd.SetArgs(append(args, "--cni-program="+program, "--cni-bin-dir="+filepath.Join(root, "bin"), "--cni-conf-dir="+conf, "--cni-socket=/tmp/s"))
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	run("install", "--once")
	data, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(data), `"socket":"/tmp/s"`) || !strings.Contains(string(data), `"ignoreNamespaces":["epic-system","epic-node"]`) {
		t.Errorf("the configuration is %s, %v", data, err)
	}
	run("uninstall")
	if data, err = os.ReadFile(path); err != nil || string(data) != original {
		t.Errorf("after uninstall it is %s, %v", data, err)
	}
}

// The plugin is a program of its own. Without it nothing is installed, and the
// configuration of the runtime can still be cleaned up.
func TestNoPlugin(t *testing.T) {
	o := NewOptions()
	o.ConfDir, o.BinDir = t.TempDir(), t.TempDir()
	i, err := o.Installer()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := i.Install(); err == nil || !strings.Contains(err.Error(), "epic-cni next to the node program, or set --cni-program") {
		t.Errorf("got %v", err)
	}
	if err := i.Uninstall(); err != nil {
		t.Error(err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package kubectltool

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/version"
)

func TestFind(t *testing.T) {
	dir := t.TempDir()
	own := filepath.Join(dir, "own")
	built := filepath.Join(dir, "bin", "kubectl")
	if err := os.WriteFile(own, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if path, err := find(own, dir); err != nil || path != own {
		t.Errorf("The named one: %s, %v", path, err)
	}
	if path, err := find(filepath.Join(dir, "none"), dir); err == nil || !strings.Contains(err.Error(), "KUBECTL") {
		t.Errorf("A name of nothing: %s, %v", path, err)
	}
	// A build that fails is an error, and never a reason to continue without.
	if path, err := find("", dir); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("Without a source: %s, %v", path, err)
	}
	script := filepath.Join(dir, "hack", "kubectl.sh")
	if err := os.MkdirAll(filepath.Dir(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(script, []byte("#!/bin/sh\n: > \"$1\"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if path, err := find("", dir); err != nil || path != built {
			t.Errorf("The one to build: %s, %v", path, err)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(built)); err != nil || len(entries) != 1 {
		t.Errorf("Something is left beside it: %v, %v", entries, err)
	}
}

// TestVersion: kubectl knows its version, without which "kubectl version" fails where
// there is a server to compare itself with. KUBECTL names a program of somebody else.
func TestVersion(t *testing.T) {
	t.Setenv("KUBECTL", "")
	out, err := exec.Command(Path(t), "version", "--client", "--output=json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		ClientVersion struct{ Major, Minor, GitVersion string }
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	v := got.ClientVersion
	if _, err := version.ParseSemantic(v.GitVersion); err != nil {
		t.Errorf("%q is no version: %v (a kubectl that is older than its build script: run \"make build\")", v.GitVersion, err)
	}
	if !strings.HasPrefix(v.GitVersion, "v"+v.Major+"."+v.Minor+".") || v.Major != "1" {
		t.Errorf("got %+v", v)
	}
}

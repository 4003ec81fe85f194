// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestLibraries uses the shell that the project's scripts need as a program that is not static.
func TestLibraries(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("reads a program of Linux")
	}
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Fatal(err)
	}
	needs, _, err := linkage(shell)
	if err != nil || len(needs) < 2 || !strings.HasPrefix(needs[0], "/") {
		t.Fatalf("bash is linked to %v: %v", needs, err)
	}
	var all []file
	for _, need := range needs {
		all = append(all, file{shell, path.Join("/lib", need)})
	}
	all[0].to = needs[0]
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut")
	if err := os.WriteFile(cut, []byte("\x7fELF\x02"), 0o755); err != nil {
		t.Fatal(err)
	}
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	for _, c := range []struct {
		name, binary, arch string
		more               []string
		files              []file
		want               string
	}{
		{"all libraries", shell, runtime.GOARCH, nil, all, ""},
		{"no library", shell, runtime.GOARCH, nil, nil, "is linked to " + needs[0]},
		{"one library less", shell, runtime.GOARCH, nil, all[:len(all)-1], "is linked to " + needs[len(needs)-1]},
		{"the loader elsewhere", shell, runtime.GOARCH, nil, append([]file{{shell, "/opt" + needs[0]}}, all[1:]...), "is linked to " + needs[0]},
		{"another program without", script, runtime.GOARCH, []string{shell}, nil, "is linked to " + needs[0]},
		{"another architecture", shell, other, nil, all, "and the image is for " + other},
		{"a script", script, other, nil, nil, ""},
		{"a damaged program", cut, runtime.GOARCH, nil, nil, "cannot read what"},
		{"no program", filepath.Join(t.TempDir(), "none"), runtime.GOARCH, nil, nil, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := checkLibraries(options{binary: c.binary, more: c.more, files: c.files, arch: c.arch})
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got the error %v, want %q", err, c.want)
			}
		})
	}
}

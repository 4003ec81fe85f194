// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A copy takes the place of an older one, and leaves nothing else.
func TestInstall(t *testing.T) {
	dir := t.TempDir()
	from := filepath.Join(t.TempDir(), "program")
	for _, content := range []string{"old", "new"} {
		if err := os.WriteFile(from, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := install(from, dir); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Fatalf("%v, %v", entries, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, program))
	info, _ := entries[0].Info()
	if err != nil || string(data) != "new" || info.Mode().Perm() != 0o555 {
		t.Errorf("%q, %v, %v", data, info.Mode(), err)
	}
	if err := install(from, filepath.Join(dir, "none")); err == nil {
		t.Error("it was copied nowhere")
	}
}

func TestConfig(t *testing.T) {
	dir, err := os.MkdirTemp("", "epic-proxy-") //nolint:usetesting // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var out bytes.Buffer
	if err := printConfig(t.Context(), &out, filepath.Join(dir, "agent.sock"), false); err == nil || !strings.Contains(err.Error(), "--dir") {
		t.Errorf("nobody there: %v", err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "agent.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL) }))
	}()
	for bodies, want := range map[bool]string{false: "/config", true: "/config?bodies"} {
		out.Reset()
		if err := printConfig(t.Context(), &out, filepath.Join(dir, "agent.sock"), bodies); err != nil || out.String() != want {
			t.Errorf("%q, %v", out.String(), err)
		}
	}
}

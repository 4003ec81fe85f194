// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/node/cni/plugin"
)

const (
	kind  = plugin.Type
	entry = `{"type":"epic-cni","socket":"/run/epic/cni.sock"}`
)

func TestAddPlugin(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{
			"one plugin on its own lines",
			"{\n  \"cniVersion\": \"1.0.0\",\n  \"name\": \"n\",\n  \"plugins\": [\n    {\"type\": \"bridge\"}\n  ]\n}\n",
			"{\n  \"cniVersion\": \"1.0.0\",\n  \"name\": \"n\",\n  \"plugins\": [\n    {\"type\": \"bridge\"},\n    " + entry + "\n  ]\n}\n",
		},
		{
			"several, odd fields in an odd order",
			`{"x":1e2,"plugins":[{"type":"calico","k":{"z":1,"a":2}}, {"type":"portmap"}],"name":"n","cniVersion":"0.3.1","y":null}`,
			`{"x":1e2,"plugins":[{"type":"calico","k":{"z":1,"a":2}}, {"type":"portmap"}, ` + entry + `],"name":"n","cniVersion":"0.3.1","y":null}`,
		},
		{
			"there already", `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"},{"socket":"/run/epic/cni.sock", "type":"epic-cni"}]}`,
			`{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"},{"socket":"/run/epic/cni.sock", "type":"epic-cni"}]}`,
		},
		{
			"there with other settings", `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"},{"type":"epic-cni"}]}`,
			`{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"},` + entry + `]}`,
		},
		{
			"it contains", `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"epic-cni"},{"type":"a"},{"type":"epic-cni"}]}`,
			`{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"},` + entry + `]}`,
		},
		{
			"another came behind", `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"},` + entry + `,{"type":"b"}]}`,
			`{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"},{"type":"b"},` + entry + `]}`,
		},
		{"no JSON", `{"name":`, ""},
		{"nothing", ``, ""},
		{"an array", `[]`, ""},
		{"no name", `{"cniVersion":"1.0.0","plugins":[{"type":"a"}]}`, ""},
		{"no version", `{"name":"n","plugins":[{"type":"a"}]}`, ""},
		{"a version without chains", `{"name":"n","cniVersion":"0.2.0","plugins":[{"type":"a"}]}`, ""},
		{"no plugins", `{"name":"n","cniVersion":"1.0.0"}`, ""},
		{"plugins are no array", `{"name":"n","cniVersion":"1.0.0","plugins":{}}`, ""},
		{"empty plugins", `{"name":"n","cniVersion":"1.0.0","plugins":[]}`, ""},
		{"only the own", `{"name":"n","cniVersion":"1.0.0","plugins":[` + entry + `]}`, ""},
		{"a plugin without type", `{"name":"n","cniVersion":"1.0.0","plugins":[{}]}`, ""},
		{"a plugin that is a number", `{"name":"n","cniVersion":"1.0.0","plugins":[1]}`, ""},
		{"plugins twice", `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"}],"plugins":[{"type":"b"}]}`, ""},
		{"something behind", `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"a"}]} x`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := addPlugin([]byte(tt.in), []byte(entry))
			if tt.want == "" {
				if !errors.Is(err, errNotUnderstood) {
					t.Errorf("got %s, %v; want that it is not understood", got, err)
				}
				return
			}
			if err != nil || string(got) != tt.want {
				t.Errorf("got\n%s\n%v, want\n%s", got, err, tt.want)
			}
		})
	}
}

// FuzzAddPlugin takes any text: what comes out is a valid list with the plugin at its
// end, in which taking it out and adding it again changes nothing; or an error.
func FuzzAddPlugin(f *testing.F) {
	f.Add([]byte("{\n  \"cniVersion\": \"1.0.0\",\n  \"name\": \"n\",\n  \"plugins\": [\n    {\"type\": \"bridge\"}\n  ]\n}\n"))
	f.Add([]byte(`{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"epic-cni"},{"type":"a"},{"type":"epic-cni"}]}`))
	f.Add([]byte(`{"name":"é\u2028","cniVersion":"0.3.1","plugins" : [ {"type":"a,]}"} , {"type":"b"}] }`))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := addPlugin(in, []byte(entry))
		if err != nil {
			return
		}
		var parsed struct {
			Plugins []struct{ Type string }
		}
		if err := json.Unmarshal(out, &parsed); err != nil {
			t.Fatalf("out of %q came %q: %v", in, out, err)
		}
		n := len(parsed.Plugins)
		if n < 2 || parsed.Plugins[n-1].Type != kind || parsed.Plugins[0].Type == kind {
			t.Fatalf("out of %q came %q", in, out)
		}
		again, err := addPlugin(out, []byte(entry))
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("adding it to %q again gives %q, %v", out, again, err)
		}
		without, err := removePlugin(out)
		if err != nil {
			t.Fatalf("taking it out of %q: %v", out, err)
		}
		if !bytes.Contains(in, []byte(kind)) && !bytes.Contains(in, []byte(`\u`)) && !bytes.Equal(without, in) {
			t.Fatalf("%q came back as %q", in, without)
		}
	})
}

// node is a node's directories.
func node(t *testing.T) (*Installer, func(name, text string), func(name string) string) {
	t.Helper()
	root := t.TempDir()
	i := &Installer{Program: filepath.Join(root, "program"), BinDir: filepath.Join(root, "bin"), ConfDir: filepath.Join(root, "net.d")}
	i.Config.Socket = "/run/epic/cni.sock"
	if err := os.Mkdir(i.ConfDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(i.Program, []byte("plugin"), 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(i.ConfDir, name), []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(i.ConfDir, name))
		if err != nil {
			return ""
		}
		return string(data)
	}
	return i, write, read
}

const (
	aList = `{"name":"n","cniVersion":"1.0.0","plugins":[{"type":"bridge"}]}`
	aConf = "{\n  \"cniVersion\": \"0.3.1\",\n  \"name\": \"weave\",\n  \"type\": \"weave-net\",\n  \"hairpinMode\": true\n}\n"
)

func TestInstallAndUninstall(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		used  string
	}{
		{"a list", map[string]string{"10-n.conflist": aList}, "10-n.conflist"},
		{"a single plugin", map[string]string{"10-weave.conf": aConf}, "10-weave.conflist"},
		{"a single plugin in a .json", map[string]string{"10-weave.json": aConf}, "10-weave.conflist"},
		{"the first of several", map[string]string{"20-n.conflist": aList, "10-weave.conf": aConf, "README": "x"}, "10-weave.conflist"},
		{"the first that is valid", map[string]string{"00-broken.conflist": "{", "05-old.conf": `{"name":"o","type":"x"}`, "10-n.conflist": aList}, "10-n.conflist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			i, write, read := node(t)
			for name, text := range tt.files {
				write(name, text)
			}
			if changed, err := i.Install(); !changed || err != nil {
				t.Fatalf("Install: %v, %v", changed, err)
			}
			if changed, err := i.Install(); changed || err != nil {
				t.Fatalf("Install again: %v, %v", changed, err)
			}
			if !strings.Contains(read(tt.used), kind) {
				t.Errorf("%s is %s", tt.used, read(tt.used))
			}
			// The runtime has to use that file.
			names, err := configurations(i.ConfDir)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if name == tt.used {
					break
				}
				if tt.files[name] != read(name) || name > tt.used {
					t.Errorf("%s comes before, or was changed", name)
				}
			}
			info, err := os.Stat(filepath.Join(i.ConfDir, tt.used))
			if err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("the mode changed: %v, %v", info, err)
			}
			program, err := os.Stat(filepath.Join(i.BinDir, kind))
			if err != nil || program.Mode().Perm() != 0o755 {
				t.Errorf("the program: %v, %v", program, err)
			}
			if err := i.Uninstall(); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(i.ConfDir)
			if err != nil {
				t.Fatal(err)
			}
			if len(entries) != len(tt.files) {
				t.Errorf("files left: %v", entries)
			}
			for name, text := range tt.files {
				if read(name) != text {
					t.Errorf("%s came back as %q, not %q", name, read(name), text)
				}
			}
			if _, err := os.Stat(filepath.Join(i.BinDir, kind)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the program is still there: %v", err)
			}
			if err := i.Uninstall(); err != nil {
				t.Errorf("Uninstall again: %v", err)
			}
		})
	}
}

func TestInstallWithoutNetwork(t *testing.T) {
	i, write, read := node(t)
	if _, err := i.Install(); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("got %v", err)
	}
	write("10-broken.conflist", "{")
	_, err := i.Install()
	if !errors.Is(err, ErrNoNetwork) || !strings.Contains(err.Error(), "10-broken.conflist") {
		t.Errorf("got %v", err)
	}
	if read("10-broken.conflist") != "{" {
		t.Error("a file that is not understood was changed")
	}
}

func TestRunPutsItBack(t *testing.T) {
	i, write, read := node(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- i.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	installed := func(what string, is func() bool) {
		t.Helper()
		for range 100 {
			if is() {
				return
			}
			time.Sleep(30 * time.Millisecond)
		}
		t.Errorf("%s: not installed again", what)
	}
	has := func(name string) func() bool { return func() bool { return strings.Contains(read(name), kind) } }
	time.Sleep(50 * time.Millisecond)
	write("20-n.conflist", aList)
	installed("the network came", has("20-n.conflist"))
	write("20-n.conflist", aList)
	installed("it was written again", has("20-n.conflist"))
	write("10-first.conf", aConf)
	installed("another network came before", has("10-first.conflist"))
	if err := os.Remove(filepath.Join(i.BinDir, kind)); err != nil {
		t.Fatal(err)
	}
	installed("the program was deleted", func() bool {
		data, err := os.ReadFile(filepath.Join(i.BinDir, kind))
		return err == nil && string(data) == "plugin"
	})
}

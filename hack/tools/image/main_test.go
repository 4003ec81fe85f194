// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestSameInputSameBytes(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(binary, []byte("content"), 0o755); err != nil {
		t.Fatal(err)
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	var first []byte
	for range 2 {
		out := filepath.Join(t.TempDir(), "image.tar")
		if _, err := write(options{binary: binary, out: out, tag: "acnodal/program:dev", user: "65532:65532", arch: "amd64"}); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if first != nil && !bytes.Equal(first, got) {
			t.Error("Two tarballs of the same binary differ")
		}
		first = got
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("Temporary files are left: %v, %v", left, err)
	}
}

func TestConfiguration(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(binary, []byte("content"), 0o755); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "image.tar")
	if _, err := write(options{binary: binary, out: out, tag: "acnodal/program:dev", user: "65532:65532", arch: "arm64"}); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(out, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/program" {
		t.Errorf("The configuration is %+v", config)
	}
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(out) })
	if err != nil {
		t.Fatal(err)
	}
	if got := manifest[0].RepoTags[0]; got != "acnodal/program:dev" {
		t.Errorf("The image is named %q", got)
	}
}

func TestBinariesBesideIt(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"program", "plugin"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	content, err := layer(options{binary: dir + "/program", entrypoint: "/bin/program", more: []string{dir + "/plugin"}})
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(content))
	for _, name := range []string{"program", "plugin"} {
		header, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || header.Name != "bin/"+name || header.Mode != 0o555 || string(data) != name {
			t.Errorf("%s with mode %o holds %q, %v", header.Name, header.Mode, data, err)
		}
	}
}

func TestBadInput(t *testing.T) {
	if _, err := write(options{binary: "/nonexistent", out: t.TempDir() + "/x", tag: "a:b"}); err == nil {
		t.Error("A binary that is not there made an image")
	}
	if _, err := write(options{binary: "/proc/self/exe", out: t.TempDir() + "/x", tag: "no good:tag"}); err == nil {
		t.Error("A name that is none made an image")
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"program", "library"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	content, err := layer(options{binary: filepath.Join(dir, "program"), entrypoint: "/program", files: []file{{filepath.Join(dir, "library"), "/lib64/library.so"}}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(bytes.NewReader(content)); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		names = append(names, h.Name)
	}
	if len(names) != 2 || names[0] != "program" || names[1] != "lib64/library.so" {
		t.Errorf("the layer has %v", names)
	}
}

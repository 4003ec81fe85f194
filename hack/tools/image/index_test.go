// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// tarballs are images of one program for several architectures.
func tarballs(t *testing.T, architectures ...string) []string {
	t.Helper()
	var files []string
	for _, arch := range architectures {
		binary := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(binary, []byte("for "+arch), 0o755); err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(t.TempDir(), "image.tar")
		if _, err := write(options{binary: binary, out: out, tag: "acnodal/program:v1", user: "65532:65532", arch: arch}); err != nil {
			t.Fatal(err)
		}
		files = append(files, out)
	}
	return files
}

func unpack(t *testing.T, file string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(bytes.NewReader(data))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, header.Name)
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIndex(t *testing.T) {
	files := tarballs(t, "amd64", "arm64")
	var digests, contents []string
	for range 2 {
		out := filepath.Join(t.TempDir(), "image.oci.tar")
		digest, err := writeIndex(out, "acnodal/program:v1", files)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		digests, contents = append(digests, digest), append(contents, string(data))
		path, err := layout.FromPath(unpack(t, out))
		if err != nil {
			t.Fatal(err)
		}
		outer, err := path.ImageIndex()
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := outer.IndexManifest()
		if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].Digest.String() != digest ||
			manifest.Manifests[0].Annotations[refAnnotation] != "v1" || manifest.Manifests[0].Annotations[nameAnnotation] != "acnodal/program:v1" {
			t.Fatalf("The layout has %+v, %v", manifest, err)
		}
		inner, err := outer.ImageIndex(manifest.Manifests[0].Digest)
		if err != nil {
			t.Fatal(err)
		}
		images, err := inner.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range images.Manifests {
			got = append(got, m.Platform.String())
			image, err := inner.Image(m.Digest)
			if err != nil {
				t.Fatal(err)
			}
			config, err := image.ConfigFile()
			if err != nil || config.Architecture != m.Platform.Architecture || config.Config.Entrypoint[0] != "/program" {
				t.Errorf("%s: %+v, %v", m.Platform, config, err)
			}
		}
		if strings.Join(got, " ") != "linux/amd64 linux/arm64" {
			t.Errorf("The index has %v", got)
		}
	}
	if digests[0] != digests[1] || contents[0] != contents[1] {
		t.Error("The same images give different indexes")
	}
}

func TestIndexRefusesTwoOfOneArchitecture(t *testing.T) {
	if _, err := writeIndex(filepath.Join(t.TempDir(), "out"), "acnodal/program:v1", tarballs(t, "arm64", "arm64")); err == nil || !strings.Contains(err.Error(), "arm64") {
		t.Errorf("The error is %v", err)
	}
	if _, err := writeIndex(filepath.Join(t.TempDir(), "out"), "acnodal/program:v1", []string{"/nonexistent"}); err == nil {
		t.Error("A file that is missing is no error")
	}
}

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Annotations that name an image in an OCI layout, for import.
const (
	refAnnotation  = "org.opencontainers.image.ref.name"
	nameAnnotation = "io.containerd.image.name"
)

// writeIndex creates a multi-architecture image from tarballs with one architecture each,
// as an archive of an OCI layout, and returns the digest of its index.
func writeIndex(out, tag string, tarballs []string) (string, error) {
	named, err := name.NewTag(tag, name.WithDefaultRegistry(""))
	if err != nil {
		return "", err
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	seen := map[string]bool{}
	for _, file := range tarballs {
		image, err := tarball.ImageFromPath(file, nil)
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		if seen[config.Architecture] {
			return "", fmt.Errorf("%s: another image is for %s, too", file, config.Architecture)
		}
		seen[config.Architecture] = true
		image = mutate.ConfigMediaType(mutate.MediaType(image, types.OCIManifestSchema1), types.OCIConfigJSON)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: config.OS, Architecture: config.Architecture}},
		})
	}
	dir, err := os.MkdirTemp("", "image-index-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary directory
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return "", err
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{refAnnotation: named.TagStr(), nameAnnotation: named.String()})); err != nil {
		return "", err
	}
	if err := archive(out, dir); err != nil {
		return "", err
	}
	digest, err := index.Digest()
	return digest.String(), err
}

// archive creates a deterministic tar of a directory's files.
func archive(out, dir string) (err error) {
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := tar.NewWriter(file)
	// It walks in the order of names.
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
		if entry.IsDir() {
			header.Name, header.Mode, header.Typeflag = header.Name+"/", 0o755, tar.TypeDir
			return w.WriteHeader(header)
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header.Size = info.Size()
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		content, err := os.Open(path)
		if err != nil {
			return err
		}
		defer content.Close() //nolint:errcheck // it is only read
		_, err = io.Copy(w, content)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}

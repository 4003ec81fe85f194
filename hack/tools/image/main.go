// SPDX-License-Identifier: Apache-2.0

// Command image creates a container image with a static binary, and optionally others, as
// a tarball for "docker load", "ctr images import" and "kind load image-archive". It does
// not need Docker or a registry, and equal input gives equal output, byte by byte.
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func main() {
	var o options
	flag.StringVar(&o.out, "out", "", "write the tarball to this `FILE`")
	flag.StringVar(&o.tag, "tag", "", "name the image `NAME:TAG`")
	flag.StringVar(&o.user, "user", "65532:65532", "run as this `UID:GID`")
	flag.StringVar(&o.arch, "arch", runtime.GOARCH, "the binary's `ARCHITECTURE`")
	flag.StringVar(&o.entrypoint, "entrypoint", "", "the binary's `PATH` in the image (default: / and its name)")
	flag.Func("file", "put `FILE=PATH` into the image too; may be given several times", func(s string) error {
		from, to, ok := strings.Cut(s, "=")
		if !ok || !path.IsAbs(to) {
			return fmt.Errorf("%q is not of the form FILE=/PATH", s)
		}
		o.files = append(o.files, file{from, path.Clean(to)})
		return nil
	})
	index := flag.Bool("index", false, "make one image for several architectures, an archive of an OCI layout, of the images in these tarballs")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "Usage: image -out FILE -tag NAME:TAG [flags] BINARY [MORE...]\n       image -index -out FILE -tag NAME:TAG TARBALL...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() == 0 || o.out == "" || o.tag == "" {
		flag.Usage()
		os.Exit(2)
	}
	o.binary, o.more = flag.Arg(0), flag.Args()[1:]
	build := func() (string, error) { return write(o) }
	if *index {
		build = func() (string, error) { return writeIndex(o.out, o.tag, flag.Args()) }
	}
	digest, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(o.tag, digest)
}

type options struct {
	binary, out, tag, user, arch, entrypoint string
	// more lists additional binaries, which keep their names.
	more []string
	// files lists additional files, such as the libraries of a binary that is not static.
	files []file
}

type file struct{ from, to string }

// write creates the image, writes its tarball and returns its digest.
func write(o options) (string, error) {
	if o.entrypoint == "" {
		o.entrypoint = "/" + filepath.Base(o.binary)
	}
	// No default registry: the tag stays as written in the manifests.
	tag, err := name.NewTag(o.tag, name.WithDefaultRegistry(""))
	if err != nil {
		return "", err
	}
	image, err := build(o)
	if err != nil {
		return "", err
	}
	if err := tarball.WriteToFile(o.out, tag, image); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	return digest.String(), err
}

func build(o options) (v1.Image, error) {
	if err := checkLibraries(o); err != nil {
		return nil, err
	}
	content, err := layer(o)
	if err != nil {
		return nil, err
	}
	files, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, files)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", o.arch
	// The build time would make every image different.
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		Entrypoint: []string{o.entrypoint},
		Env:        []string{"PATH=/"},
		User:       o.user,
		WorkingDir: "/",
	}
	return mutate.ConfigFile(image, config)
}

// layer returns a tar of the files, owned by root and not writable.
func layer(o options) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := add(w, o.binary, o.entrypoint); err != nil {
		return nil, err
	}
	for _, binary := range o.more {
		if err := add(w, binary, path.Join(path.Dir(o.entrypoint), filepath.Base(binary))); err != nil {
			return nil, err
		}
	}
	for _, f := range o.files {
		if err := add(w, f.from, f.to); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func add(w *tar.Writer, binary, to string) error {
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	header := &tar.Header{
		Typeflag: tar.TypeReg,
		Name:     to[1:],
		Mode:     0o555,
		Size:     int64(len(data)),
		ModTime:  time.Unix(0, 0),
	}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// SPDX-License-Identifier: Apache-2.0

// Command charts writes the templates of the Helm charts in artifacts/charts. It builds
// the kustomizations of artifacts/install, each under the condition under which a chart
// installs it, and replaces configurable parts by template expressions. So the charts and
// the kustomizations install the same objects, and templates are never edited. It runs in
// the root of the repository.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func main() {
	verify := flag.Bool("verify", false, "write nothing, and fail if a template is not what would be written")
	flag.Parse()
	if err := run("artifacts", *verify); err != nil {
		fmt.Fprintln(os.Stderr, "charts:", err)
		os.Exit(1)
	}
}

// run writes the templates of all charts, or compares them.
func run(artifacts string, verify bool) error {
	for _, c := range charts() {
		files, err := c.files(artifacts)
		if err != nil {
			return err
		}
		if verify {
			err = c.compare(artifacts, files)
		} else {
			err = c.write(artifacts, files)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// chart describes a chart and what it installs.
type chart struct {
	name string
	// groups become directories of templates.
	groups []group
	// edits replace what values configure.
	edits []edit
}

// group is a directory of templates, made from one kustomization, or from one of several
// that exclude each other.
type group struct {
	name  string
	roots []root
}

// root is a kustomization, or a file with objects, below the directory of the manifests.
type root struct {
	path string
	// when is the condition under which the chart installs it, as the arguments of "if";
	// always, if it is empty.
	when string
}

func (c chart) templates(artifacts string) string {
	return filepath.Join(artifacts, "charts", c.name, "templates")
}

// files returns the templates by their paths in the chart's template directory.
func (c chart) files(artifacts string) (map[string]string, error) {
	files := map[string]string{}
	for _, g := range c.groups {
		objects, err := c.render(filepath.Join(artifacts, "install"), g)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", c.name, g.name, err)
		}
		for _, o := range objects {
			name := filepath.Join(g.name, o.file())
			if files[name] != "" {
				return nil, fmt.Errorf("%s: two objects are called %s", c.name, name)
			}
			files[name] = o.text()
		}
	}
	return files, nil
}

// write replaces the chart's templates.
func (c chart) write(artifacts string, files map[string]string) error {
	for _, g := range c.groups {
		dir := filepath.Join(c.templates(artifacts), g.name)
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(c.templates(artifacts), name), []byte(text), 0o644); err != nil { //nolint:gosec // readable by everybody
			return err
		}
	}
	return nil
}

// compare returns an error if the chart's templates differ from these.
func (c chart) compare(artifacts string, files map[string]string) error {
	for _, g := range c.groups {
		entries, err := os.ReadDir(filepath.Join(c.templates(artifacts), g.name))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if name := filepath.Join(g.name, entry.Name()); files[name] == "" {
				return fmt.Errorf("%s has the template %s, which nothing makes: run \"make generate\"", c.name, name)
			}
		}
	}
	for name, text := range files {
		is, err := os.ReadFile(filepath.Join(c.templates(artifacts), name))
		if err != nil || string(is) != text {
			return fmt.Errorf("%s: the template %s is not made of artifacts/install: run \"make generate\"", c.name, name)
		}
	}
	return nil
}

// render builds a group's kustomizations and returns its objects, each with its variants.
func (c chart) render(install string, g group) ([]*object, error) {
	var all []*object
	byName := map[string]*object{}
	for _, r := range g.roots {
		built, err := build(filepath.Join(install, r.path))
		if err != nil {
			return nil, err
		}
		for _, content := range built {
			id := newIdentity(content)
			text, conditions, err := apply(c.edits, id, r, content)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", r.path, err)
			}
			o := byName[id.String()]
			if o == nil {
				o = &object{identity: id, roots: len(g.roots), conditions: conditions}
				byName[id.String()] = o
				all = append(all, o)
			}
			o.add(text, r.when)
		}
	}
	return all, nil
}

// build returns the objects of a kustomization or of a file.
func build(path string) ([]map[string]any, error) {
	if strings.HasSuffix(path, ".yaml") {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var all []map[string]any
		for document := range strings.SplitSeq(string(data), "\n---\n") {
			var content map[string]any
			if err := yaml.Unmarshal([]byte(document), &content); err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			all = append(all, content)
		}
		return all, nil
	}
	options := krusty.MakeDefaultOptions()
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return nil, err
	}
	var all []map[string]any
	for _, r := range built.Resources() {
		content, err := r.Map()
		if err != nil {
			return nil, err
		}
		all = append(all, content)
	}
	return all, nil
}

// SPDX-License-Identifier: Apache-2.0

// Command phrases reports wording that this project avoids, with better wording, in
// comments, pages, and the texts of programs. phrases.yaml lists the phrases and the
// exceptions. With arguments, it only reads these files.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed phrases.yaml
var phrases []byte

func main() {
	problems, err := run(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "phrases:", err)
		os.Exit(2)
	}
	if problems {
		os.Exit(1)
	}
}

// run checks files, or all files of the repository that Git does not ignore, and reports
// whether it printed any problem.
func run(ctx context.Context, names []string) (problems bool, err error) {
	l, err := parseList(phrases)
	if err != nil {
		return false, err
	}
	all := len(names) == 0
	if all {
		listed, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
		if err != nil {
			return false, fmt.Errorf("git ls-files: %w", err)
		}
		for name := range bytes.SplitSeq(bytes.TrimRight(listed, "\x00"), []byte{0}) {
			names = append(names, string(name))
		}
	}
	for _, name := range names {
		// The list has every phrase.
		if filepath.ToSlash(filepath.Clean(name)) == "hack/phrases/phrases.yaml" {
			continue
		}
		source, err := os.ReadFile(name)
		switch {
		case os.IsNotExist(err) && all: // deleted, and not committed yet
			continue
		case err != nil:
			return false, err
		}
		passages, err := extract(filepath.ToSlash(name), source)
		if err != nil {
			return false, fmt.Errorf("%s: %w", name, err)
		}
		for _, f := range l.check(filepath.ToSlash(name), passages) {
			problems = true
			fmt.Println(f)
		}
	}
	if all {
		if err := l.unused(); err != nil {
			problems = true
			fmt.Println(err)
		}
	}
	return problems, nil
}

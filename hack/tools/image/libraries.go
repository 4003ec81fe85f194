// SPDX-License-Identifier: Apache-2.0

package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// ELF machines of each architecture.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// checkLibraries verifies that each program of an image is for the image's architecture,
// and that the image contains the libraries and the loader to which the program is
// linked. Without them, a container fails with "no such file or directory", which names
// the program.
func checkLibraries(o options) error {
	for _, binary := range append([]string{o.binary}, o.more...) {
		needs, machine, err := linkage(binary)
		if err != nil {
			return fmt.Errorf("cannot read what %s is linked to: %w", binary, err)
		}
		if want, known := machines[o.arch]; known && machine != elf.EM_NONE && machine != want {
			return fmt.Errorf("%s is for %v, and the image is for %s", binary, machine, o.arch)
		}
		for _, need := range needs {
			if !slices.ContainsFunc(o.files, func(f file) bool { return f.to == need || !strings.Contains(need, "/") && path.Base(f.to) == need }) {
				return fmt.Errorf("%s is linked to %s, which the image does not have: add it with -file", binary, need)
			}
		}
	}
	return nil
}

// linkage returns the path of a program's loader, the names of its libraries, and its
// machine. A script has none, and runs on all machines.
func linkage(binary string) ([]string, elf.Machine, error) {
	f, err := os.Open(binary)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	var magic [len(elf.ELFMAG)]byte
	n, err := f.ReadAt(magic[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	if string(magic[:n]) != elf.ELFMAG {
		return nil, elf.EM_NONE, nil
	}
	program, err := elf.NewFile(f)
	if err != nil {
		return nil, 0, err
	}
	var needs []string
	for _, segment := range program.Progs {
		if segment.Type != elf.PT_INTERP {
			continue
		}
		loader, err := io.ReadAll(segment.Open())
		if err != nil {
			return nil, 0, err
		}
		needs = append(needs, strings.TrimRight(string(loader), "\x00"))
	}
	libraries, err := program.ImportedLibraries()
	return append(needs, libraries...), program.Machine, err
}

// SPDX-License-Identifier: Apache-2.0

package status

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// socketFlag is the flag that sets another socket of a node program.
const socketFlag = "--status-socket"

// FindSocket returns the status socket: the default one if a program uses it, otherwise
// that of the only node program on this machine with another one.
func FindSocket() (string, error) { return findSocket(DefaultSocket, "/proc") }

func findSocket(usual, proc string) (string, error) {
	if _, err := os.Stat(usual); err == nil || errors.Is(err, fs.ErrPermission) {
		return usual, nil
	}
	others := runningSockets(proc)
	switch len(others) {
	case 0:
		return "", fmt.Errorf("no node program is running on this machine: the socket %s does not exist, and no process has %s", usual, socketFlag)
	case 1:
		return others[0], nil
	}
	return "", fmt.Errorf("%d node programs are running on this machine: select one with %s\n  %s", len(others), socketFlag, strings.Join(others, "\n  "))
}

// runningSockets returns the sockets in the command lines of running programs.
func runningSockets(proc string) (out []string) {
	files, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "cmdline")) // the pattern is good
	for _, file := range files {
		line, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		words := strings.Split(string(bytes.TrimRight(line, "\x00")), "\x00")
		if filepath.Base(words[0]) != "epic-node" || len(words) < 2 || words[1] != "gateway" && words[1] != "client" {
			continue
		}
		for i, word := range words {
			socket, ok := strings.CutPrefix(word, socketFlag+"=")
			if word == socketFlag && i+1 < len(words) {
				socket, ok = words[i+1], true
			}
			if ok && !slices.Contains(out, socket) {
				out = append(out, socket)
			}
		}
	}
	slices.Sort(out)
	return out
}

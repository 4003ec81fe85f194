// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// markVariable is the environment variable in which a proxy's process has the mark of its
// start. The record has the mark before the process starts, and the process's ID only
// afterwards. If the operator is killed in between, the next one finds the process by the mark.
const markVariable = "EPIC_PROXY_START"

// lost finds the process that was started with a mark, if there is one. It is the
// first process of its session: those that it starts itself inherit the mark.
func lost(mark string) identity {
	if mark == "" {
		return identity{}
	}
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return identity{}
	}
	entry := []byte(markVariable + "=" + mark)
	for _, file := range files {
		// The environment of a process that has ended, or of another user's, can't be read.
		env, err := os.ReadFile(file)
		if err != nil || !hasEntry(env, entry) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			continue
		}
		if session, err := unix.Getsid(pid); err != nil || session != pid {
			continue
		}
		if i, err := started(pid); err == nil {
			return i
		}
	}
	return identity{}
}

// hasEntry reports whether an environment, as the kernel shows it, has an entry.
func hasEntry(env, entry []byte) bool {
	for e := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(e, entry) {
			return true
		}
	}
	return false
}

// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// markVariable is the environment variable that contains the start mark of a proxy's
// process. The record contains the mark before the process starts, and the process ID
// only afterward. If the operator is killed in between, the next one finds the process by
// the mark.
const markVariable = "EPIC_PROXY_START"

// lost returns the process that was started with a mark, if there is one. It is the first
// process of its session: processes that it starts inherit the mark.
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
		// The environment of a process that has ended, or of another user's process,
		// can't be read.
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

// hasEntry reports whether an environment, in the kernel's format, has an entry.
func hasEntry(env, entry []byte) bool {
	for e := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(e, entry) {
			return true
		}
	}
	return false
}

// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"os"
	"strconv"
	"strings"
)

// ownMemory is the part of the container's memory for this program and the directory of
// accepted resources.
const ownMemory = 48 << 20

// memoryLimit returns Envoy's memory limit for a container whose limit is in a control
// group file, or 0 if there is no limit.
func memoryLimit(file string) uint64 {
	content, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseUint(strings.TrimSpace(string(content)), 10, 64)
	if err != nil || limit == 0 {
		// The file contains "max" if there is no limit.
		return 0
	}
	return limit - min(limit/2, ownMemory)
}

// controlGroupFile contains the limit of the control group that a container sees as its
// root.
const controlGroupFile = "/sys/fs/cgroup/memory.max"

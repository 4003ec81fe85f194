// SPDX-License-Identifier: Apache-2.0

// Command epic-cni is EPIC's chained CNI plugin. It is separate from epic-node because the
// container runtime starts it for every pod of a node: it is small and starts within
// milliseconds.
package main

import (
	"os"

	"github.com/acnodal/epic/pkg/node/cni/plugin"
)

func main() { os.Exit(plugin.Main()) }

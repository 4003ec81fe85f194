// SPDX-License-Identifier: Apache-2.0

// Command etcd is the etcd server, built from its Go module, for tests that kill
// it as a process of its own.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }

// SPDX-License-Identifier: Apache-2.0

// Command etcd is etcd's own server, built from its Go module: the store of the
// test cluster, and the image that the manifests run.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}

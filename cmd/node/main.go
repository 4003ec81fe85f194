// SPDX-License-Identifier: Apache-2.0

// Command epic-node carries packets between EPIC's proxies and tenants' pods. It runs on
// each gateway node and each client node.
package main

import (
	"os"

	"github.com/acnodal/epic/cmd/node/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr))
}

// SPDX-License-Identifier: Apache-2.0

// Command epic-node carries packets between EPIC's proxies and the tenants' pods: it
// runs on each gateway node and on each of a tenant's nodes.
package main

import (
	"os"

	"github.com/acnodal/epic/cmd/node/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr))
}

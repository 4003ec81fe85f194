// SPDX-License-Identifier: Apache-2.0

// Command epic-controller maintains the tunnels that load balancers and gateway proxies
// need, and sets the conditions of all objects.
package main

import (
	"os"

	"github.com/acnodal/epic/cmd/controller/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr))
}

// SPDX-License-Identifier: Apache-2.0

// Command epic-operator runs Envoys for load balancers and gateway proxies, and
// configures them.
package main

import (
	"os"

	"github.com/acnodal/epic/cmd/operator/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr))
}

// SPDX-License-Identifier: Apache-2.0

// Command epic-connector publishes a client cluster's Gateways, routes and Services in
// EPIC.
package main

import (
	"os"

	"github.com/acnodal/epic/cmd/connector/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr))
}

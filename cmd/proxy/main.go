// SPDX-License-Identifier: Apache-2.0

// Command epic-proxy is the first process of a proxy's pod: it starts Envoy, requests the
// pod's certificate, relays Envoy's configuration from the operator, and drains Envoy
// before the pod terminates.
package main

import (
	"os"

	"github.com/acnodal/epic/cmd/proxy/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr))
}

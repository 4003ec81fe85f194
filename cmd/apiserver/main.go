// SPDX-License-Identifier: Apache-2.0

// Command epic-apiserver serves the EPIC API, behind a kube-apiserver or standalone, and
// saves and restores its data.
package main

import (
	"os"

	"github.com/acnodal/epic/cmd/apiserver/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:], os.Stdout, os.Stderr))
}

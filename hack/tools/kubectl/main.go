// SPDX-License-Identifier: Apache-2.0

// Command kubectl is the Kubernetes command line, built from its Go module so
// that the tests use a known version and download no binary.
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}

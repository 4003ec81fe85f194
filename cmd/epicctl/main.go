// SPDX-License-Identifier: Apache-2.0

// Command epicctl creates, shows and checks the objects of an EPIC installation and its
// accounts. Installed as kubectl-epic, it is the kubectl plugin "epic".
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/acnodal/epic/pkg/epicctl"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	streams := genericclioptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	return epicctl.Main(ctx, os.Args, streams)
}

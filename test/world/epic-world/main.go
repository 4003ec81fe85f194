// SPDX-License-Identifier: Apache-2.0

// Epic-world shows EPIC's data path next to a server that "make run" has started: a small
// Internet in network namespaces, with a gateway node and a client node behind NAT, on
// which the real programs run: the operator starts Envoys. It sends requests through a
// tunnel, shows what both ends say, and waits until it is interrupted. Everything that it
// made goes with it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	var d demo
	flag.StringVar(&d.kubeconfig, "kubeconfig", ".epic/kubeconfig", "the administrator's `FILE`")
	flag.StringVar(&d.data, "data-dir", ".epic/data", "the standalone server's `DIR`")
	flag.StringVar(&d.dir, "dir", ".epic/world", "where to keep logs and states: a `DIR` that is created again")
	flag.StringVar(&d.bin, "bin", "bin", "where EPIC's programs are: a `DIR`")
	flag.StringVar(&d.envoy, "envoy", "envoy", "the `PROGRAM` Envoy")
	flag.BoolVar(&d.loopback, "loopback", false, "show a load balancer on a loopback address, without root and tunnels")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &d); err != nil {
		fmt.Fprintln(os.Stderr, "epic-world:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, d *demo) (err error) {
	for _, path := range []*string{&d.kubeconfig, &d.data, &d.dir, &d.bin} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, d.close()) }()
	err = d.start(ctx)
	if err == nil {
		err = d.wait(ctx)
	}
	if ctx.Err() != nil {
		// What an interruption broke is no news.
		return nil
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

// Command bench measures the API server next to other ways to do the same, both
// in one run, and prints tables with the ratios:
//
//   - alone: writers that need IDs, next to the same writers with nothing to
//     assign, and next to plain puts into the same etcd;
//   - ids: the same behind a kube-apiserver, next to writers that take their IDs
//     from a counter in a custom resource;
//   - scale: many load balancers, written, read and watched through a
//     kube-apiserver, next to the same objects as custom resources.
//
// It starts what it needs: the server that make built, and a real etcd and
// kube-apiserver. Every etcd syncs its writes to disk. Figures go to standard
// output, progress to standard error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/acnodal/epic/test/tools/kubebin"
)

// binaries are the programs of a control plane, and EPIC's API server.
type binaries struct {
	kubebin.Binaries
	epic string
}

var parts = []string{"alone", "ids", "creates", "scale"}

func main() {
	epic := flag.String("server", "bin/epic-apiserver", "the API server's binary")
	kube := flag.String("kube", "", "a folder with etcd and kube-apiserver (default: those of hack/cluster.sh, or else built)")
	only := flag.String("only", strings.Join(parts, ","), "which parts to run")
	objects := flag.Int("objects", 100_000, "how many load balancers scale makes, each with two tunnels")
	length := flag.Duration("length", 2*time.Second, "how long each measurement takes")
	count := flag.Int("rounds", 5, "how often each is repeated, in turn with the others; the median counts")
	profiles := flag.String("profiles", "", "a folder for CPU profiles of the servers while creates measures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *epic, *kube, strings.Split(*only, ","), *objects, rounds{*count, *length}, *profiles); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, epic, kube string, only []string, objects int, r rounds, profiles string) error {
	for _, part := range only {
		if !slices.Contains(parts, part) {
			return fmt.Errorf("-only: there is no part %q; the parts are %s", part, strings.Join(parts, ", "))
		}
	}
	if objects < 1 || r.count < 1 || r.length <= 0 {
		return errors.New("-objects, -rounds and -length must be above 0")
	}
	if _, err := os.Stat(epic); err != nil {
		return fmt.Errorf("-server: %w; run \"make build\" first", err)
	}
	b := binaries{epic: epic}
	if slices.ContainsFunc(only, func(part string) bool { return part != "alone" }) {
		var err error
		if b.Binaries, err = kubebin.Find(ctx, ".", kube, progress); err != nil {
			return err
		}
	}
	for _, part := range only {
		var err error
		switch part {
		case "alone":
			err = contention(ctx, epic, r)
		case "ids":
			err = idsBehindKube(ctx, b, r)
		case "creates":
			err = creates(ctx, b, objects, r, profiles)
		case "scale":
			err = scale(ctx, b, objects, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	return nil
}

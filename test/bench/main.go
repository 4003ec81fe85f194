// SPDX-License-Identifier: Apache-2.0

// Command bench measures the API server under contention: writers that add
// tunnels to objects of their own, and so need IDs, beside the same writers with
// nothing to assign, and beside plain puts into the same etcd. It starts the
// server that make built, alone, with an embedded etcd that syncs to disk, and
// prints one table.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	binary := flag.String("server", "bin/epic-apiserver", "the API server's binary")
	length := flag.Duration("length", 2*time.Second, "how long each measurement takes")
	rounds := flag.Int("rounds", 5, "how often each is repeated, in turn with the others; the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *binary, *length, *rounds); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, binary string, length time.Duration, rounds int) error {
	s, err := startServer(ctx, binary)
	if err != nil {
		return err
	}
	defer s.stop()
	b, err := newBench(ctx, s)
	if err != nil {
		return err
	}
	defer b.close()
	return contention(ctx, b, length, rounds)
}

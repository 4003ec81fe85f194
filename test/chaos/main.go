// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := defaults()
	flags := flag.NewFlagSet("chaos", flag.ExitOnError)
	list := o.flags(flags)
	_ = flags.Parse(os.Args[1:])
	if *list {
		for _, k := range kinds(true) {
			fmt.Printf("%-24s %s to %s; %s\n", k.name, k.least, k.most, k.excuses)
		}
		return
	}
	clean, err := o.run(ctx, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
	if !clean {
		os.Exit(1)
	}
}

// options are what the flags set.
type options struct {
	duration time.Duration
	seed     uint64
	faults   string
	rate     float64
	pace     time.Duration
	tenants  int
	bound    time.Duration
	quiet    time.Duration
	rhythm   rhythm
	dir      string
	bin, old string
	envoy    string
	report   string
}

func defaults() options {
	return options{
		duration: time.Hour, seed: uint64(time.Now().UnixNano()), rate: 50, pace: 5 * time.Second, tenants: 3, bound: 45 * time.Second, quiet: time.Minute,
		rhythm: rhythm{Round: 3 * time.Minute, Calm: time.Minute, Gap: 30 * time.Second},
		dir:    "/tmp/epic-chaos", bin: "bin", envoy: "envoy", report: "bin/chaos.md",
	}
}

func (o *options) flags(fs *flag.FlagSet) (list *bool) {
	fs.DurationVar(&o.duration, "duration", o.duration, "how `LONG` faults are made; the quiet end comes after it")
	fs.Uint64Var(&o.seed, "seed", o.seed, "the `NUMBER` from which the faults and the tenants' changes are drawn")
	fs.StringVar(&o.faults, "faults", o.faults, "`WORDS` in the names of the faults to make, separated by commas; after a minus, of those not to make")
	fs.Float64Var(&o.rate, "rate", o.rate, "how many `REQUESTS` visitors send in a second")
	fs.DurationVar(&o.pace, "pace", o.pace, "the usual `TIME` between two changes of a tenant")
	fs.IntVar(&o.tenants, "tenants", o.tenants, "how `MANY` tenants there are, besides a hostile one")
	fs.DurationVar(&o.bound, "bound", o.bound, "how `LONG` a change may take, and a path after a fault, on this machine")
	fs.DurationVar(&o.quiet, "quiet", o.quiet, "how `LONG` all is left alone in the end")
	fs.DurationVar(&o.rhythm.Gap, "gap", o.rhythm.Gap, "the longest `TIME` between the beginnings of two faults")
	fs.DurationVar(&o.rhythm.Round, "round", o.rhythm.Round, "how `LONG` faults follow each other before it is calm")
	fs.DurationVar(&o.rhythm.Calm, "calm", o.rhythm.Calm, "how `LONG` it is calm then")
	fs.StringVar(&o.dir, "dir", o.dir, "a `FOLDER` for logs and data, which is emptied first; at most 40 characters")
	fs.StringVar(&o.bin, "bin", o.bin, "the `FOLDER` with the programs, and etcd")
	fs.StringVar(&o.old, "old", o.old, "a `FOLDER` with programs of another release: programs start from it, and change back and forth")
	fs.StringVar(&o.envoy, "envoy", o.envoy, "the `PROGRAM` Envoy")
	fs.StringVar(&o.report, "report", o.report, "the `FILE` for the report")
	return fs.Bool("list", false, "list the kinds of faults, and end")
}

// complete checks the options.
func (o *options) complete() (chosen []kind, err error) {
	for _, path := range []*string{&o.dir, &o.bin, &o.old} {
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	switch {
	case len(o.dir) > 40:
		return nil, fmt.Errorf("-dir is %s: give a folder with at most 40 characters, since sockets are in it", o.dir)
	case o.tenants < 1 || o.tenants > 9:
		return nil, fmt.Errorf("-tenants is %d: give from 1 to 9", o.tenants)
	case o.rate <= 0 || o.pace <= 0 || o.bound <= 0 || o.rhythm.Gap <= 0:
		return nil, errors.New("-rate, -pace, -bound and -gap must be above 0")
	case o.rhythm.Calm < o.bound && o.duration > o.rhythm.Round:
		return nil, fmt.Errorf("-calm is %s: give at least -bound, which is %s, or nothing is judged strictly", o.rhythm.Calm, o.bound)
	}
	if err := netlab.Possible(); err != nil {
		return nil, err
	}
	for _, program := range started[:len(started)-1] {
		if !exists(filepath.Join(o.bin, program)) {
			return nil, fmt.Errorf("there is no %s in %s: \"make chaos\" builds it", program, o.bin)
		}
	}
	return choose(kinds(o.old != ""), o.faults)
}

// run does everything and writes the report. It returns whether nothing was violated.
func (o *options) run(ctx context.Context, out io.Writer) (clean bool, err error) {
	chosen, err := o.complete()
	if err != nil {
		return false, err
	}
	_ = sweep(o.dir) // what a run left that was killed
	if err := os.RemoveAll(o.dir); err != nil {
		return false, err
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return false, err
	}
	r := &runner{options: *o, out: out, kinds: chosen, begun: time.Now()}
	r.oracle = newOracle(o.bound)
	r.site = &site{dir: o.dir, bin: o.bin, old: o.old, envoy: o.envoy, oracle: r.oracle, tenants: o.tenants}
	fmt.Fprintf(out, "seed %d; logs are in %s\n", o.seed, o.dir)
	err = r.all(ctx)
	if closed := r.site.close(); closed != nil { //nolint:contextcheck // it must close although ctx has ended
		r.oracle.wrong("something is left", "this machine", time.Now(), closed.Error())
	}
	if err != nil && ctx.Err() == nil {
		return false, err
	}
	text := r.report()
	if err := os.WriteFile(o.report, []byte(text), 0o644); err != nil { //nolint:gosec // it is no secret
		return false, err
	}
	fmt.Fprintf(out, "%s\nThe report is in %s.\n", r.summary(), o.report)
	return len(r.oracle.violations) == 0, nil
}

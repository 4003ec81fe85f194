// SPDX-License-Identifier: Apache-2.0

// Command connector measures how fast what a tenant writes in its cluster takes effect at
// the proxies, and what the connector costs at scale. hack/conformance.sh starts what it
// needs, with real Envoys, and runs it:
//
//	hack/conformance.sh measure
//
// Where the connector adds time to EPIC's own, the same change is also written straight to
// EPIC in the same run.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/acnodal/epic/pkg/connector"
)

var parts = []string{"routes", "unready", "gateways", "scale"}

// bench is what all parts work with.
type bench struct {
	// local is the client cluster, epic is EPIC.
	local, epic client.Client
	// account is the account's namespace in EPIC.
	account string
	// pid is the connector's process, metrics is where it serves them.
	pid     string
	metrics string
	// rounds is how often each latency is measured.
	rounds int
	scale  scale
}

func main() {
	only := flag.String("only", strings.Join(parts, ","), "which parts to run")
	b := &bench{account: "epic-conformance", metrics: "http://127.0.0.1:7449/metrics", pid: os.Getenv("EPIC_CONNECTOR_PID")}
	flag.IntVar(&b.rounds, "rounds", 100, "how often each latency is measured")
	flag.IntVar(&b.scale.routes, "routes", 1000, "how many routes scale makes")
	flag.IntVar(&b.scale.endpoints, "endpoints", 10000, "how many endpoints scale makes")
	flag.IntVar(&b.scale.rate, "rate", 50, "how many changes a second scale makes")
	flag.DurationVar(&b.scale.length, "length", time.Minute, "for how long it makes them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctrl.SetLogger(klog.Background())
	if err := b.run(ctx, strings.Split(*only, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only []string) error {
	var err error
	if b.local, err = connect(os.Getenv("KUBECONFIG")); err != nil {
		return fmt.Errorf("KUBECONFIG: %w", err)
	}
	if b.epic, err = connect(os.Getenv("EPICCONFIG")); err != nil {
		return fmt.Errorf("EPICCONFIG: %w", err)
	}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	for _, part := range only {
		run, ok := map[string]func(context.Context) error{
			"routes": b.routes, "unready": b.unready, "gateways": b.gateways, "scale": b.atScale,
		}[part]
		if !ok {
			return fmt.Errorf("-only: there is no part %q; the parts are %s", part, strings.Join(parts, ", "))
		}
		if err := run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part, err)
		}
	}
	return nil
}

func connect(kubeconfig string) (client.Client, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	scheme, err := connector.Scheme()
	if err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme})
}

// report prints a row: how often, the median, the 99th percentile, the largest.
func report(what string, all []time.Duration) {
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	ms := func(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
	fmt.Printf("| %s | %d | %s | %s | %s |\n", what, len(all), ms(all[len(all)/2]), ms(all[len(all)*99/100]), ms(all[len(all)-1]))
}

// heading begins a table of latencies, with the machine's load.
func heading(title string) {
	load, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(load), " ")
	fmt.Printf("\n%s (load %s)\n\n| what | times | median | p99 | largest |\n| --- | ---: | ---: | ---: | ---: |\n", title, first)
}

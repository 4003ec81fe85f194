// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/follow"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/keys"
	"github.com/acnodal/epic/pkg/node/statefile"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/pkg/node/underlay"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

const (
	// repairEvery is the interval at which removed objects are restored. If a pass takes
	// so long that it would use a tenth of a processor, it is delayed, up to
	// repairAtLatest.
	repairEvery, repairAtLatest = 2 * time.Second, 20 * time.Second
	// withoutAPI is how long a start waits for the API before the state on disk is
	// treated as complete.
	withoutAPI = 30 * time.Second
	// stuck is how long the work may stall.
	stuck = 2 * time.Minute
)

// agent is the common part of both roles.
type agent struct {
	Config
	role string

	underlay *underlay.Underlay
	applier  *apply.Applier
	follower *follow.Follower
	fetcher  *keys.Fetcher
	saver    *saver
	control  control
	socket   *gue.Socket
	metrics  *status.Collector

	started time.Time
	loaded  *state
	// extra returns further problems of the role.
	extra func() []string
	// reportMore adds the role's part of the report; may be nil.
	reportMore func(*status.Report)
	// judge returns the state of a tunnel, if it depends on more than the control
	// protocol; may be nil.
	judge func(tunnel uint32) tunnelstate.State
	// listProxies returns the proxies of the role.
	listProxies func() []status.Proxy
	// repairOwn restores other objects of the role; may be nil.
	repairOwn func() (bool, error)
	// complete is closed when the role knows everything it needs before leftovers may be
	// removed.
	complete <-chan struct{}
	// known is closed when all objects are known, from the API or, if that does not
	// respond, from disk.
	known chan struct{}
	// settled is closed when everything wanted has been applied for the first time.
	settled chan struct{}

	source    atomic.Value // string: "none", "disk", "api"
	repairs   atomic.Uint64
	repairErr atomic.Value // string
	repaired  atomic.Int64 // Unix nanoseconds
	// tasks holds the tasks of run.
	tasks *errgroup.Group
}

// load reads the state on disk. If it is damaged, or belongs to another node, the agent
// starts without it: the API has everything.
func (a *agent) load(ctx context.Context) error {
	a.source.Store("none")
	a.repairErr.Store("")
	var s state
	found, err := a.saver.file.Load(&s)
	switch {
	case errors.Is(err, statefile.ErrDamaged):
		klog.FromContext(ctx).Error(err, "Starting without the last state; the API will provide it")
	case err != nil:
		return fmt.Errorf("read the last state: %w", err)
	case found && (s.Role != a.role || !slices.Equal(s.Nodes, a.Nodes)):
		klog.FromContext(ctx).Info("The last state belongs to another node and is not used", "role", s.Role, "addresses", s.Nodes)
	case found:
		a.loaded = &s
	}
	return nil
}

// sink receives intents from the API.
type sink struct{ *agent }

// Set implements follow.Sink.
func (s sink) Set(i *intent.Intent) {
	s.applier.Set(i)
	s.fetcher.Need(i)
	s.saver.touch()
}

// Delete implements follow.Sink.
func (s sink) Delete(key intent.Key) {
	s.applier.Delete(key)
	s.saver.touch()
}

// keyTarget receives keys from the API.
type keyTarget struct{ *agent }

// Get implements keys.Target.
func (t keyTarget) Get(key intent.Key) (apply.State, bool) { return t.applier.Get(key) }

// Owner implements keys.Target.
func (t keyTarget) Owner(tunnel uint32) (intent.Key, bool) { return t.applier.Owner(tunnel) }

// SetKeys implements keys.Target.
func (t keyTarget) SetKeys(key intent.Key, all intent.Keys) {
	t.applier.SetKeys(key, all)
	t.saver.touch()
}

// start starts a part of the work that does not fail.
func (a *agent) start(ctx context.Context, part func(context.Context)) {
	a.tasks.Go(func() error {
		part(ctx)
		return nil
	})
}

// run does the work of both roles, and runs the given parts, until the context ends or a
// permanent error occurs.
func (a *agent) run(ctx context.Context, parts ...Part) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.tasks, ctx = errgroup.WithContext(ctx)
	var err error
	if a.socket, err = gue.Listen(ctx, a.Port); err != nil {
		return err
	}
	defer func() { _ = a.socket.Close() }()

	parts = append(parts, a.Access.parts()...)
	if a.metrics == nil {
		a.metrics = status.NewCollector(a, a.TunnelMetrics)
	}
	// Open it first, so nothing starts if the address is in use.
	metrics := a.metricsHandler()
	if a.SecureMetrics != nil {
		stop, err := a.SecureMetrics(ctx, metrics)
		if err != nil {
			return err
		}
		defer stop()
		metrics = nil
	}
	a.applier.Observe(func(d time.Duration) { a.metrics.Delay.Observe(d.Seconds()) })
	if err := a.underlay.Refresh(); err != nil {
		klog.FromContext(ctx).Info("The underlay is not complete yet", "err", err)
	}
	a.start(ctx, a.applier.Run)
	a.start(ctx, a.underlay.Run)
	a.restore()

	serve := func(what string, do func() error) {
		a.tasks.Go(func() error {
			if err := do(); err != nil && ctx.Err() == nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		})
	}
	serve("control protocol", func() error { return a.control.Serve(ctx, a.socket) })
	if a.StatusSocket != "" {
		serve("status", func() error { return status.ServeSocket(ctx, a.StatusSocket, a) })
	}
	if a.MetricsAddress != "" {
		serve("metrics", func() error { return status.ServeHTTP(ctx, a.MetricsAddress, a, metrics) })
	}
	for _, part := range parts {
		serve(part.Name, func() error { return part.Run(ctx) })
	}
	a.start(ctx, a.fetcher.Run)
	a.start(ctx, a.follower.Run)
	a.start(ctx, a.saver.run)
	a.start(ctx, a.settle)
	return a.tasks.Wait()
}

// metricsHandler serves this node's metrics and those of the process.
func (a *agent) metricsHandler() http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(a.metrics, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// restore applies the state on disk and releases its objects.
func (a *agent) restore() {
	if a.loaded == nil {
		return
	}
	for _, o := range a.loaded.Objects {
		if o.Intent == nil {
			continue
		}
		a.applier.Set(o.Intent)
		if k := loadKeys(o.Keys); k.Len() > 0 {
			a.applier.SetKeys(o.Intent.Key, k)
		}
	}
	a.loaded.Objects = nil
	a.source.Store("disk")
}

// settle waits until everything wanted is applied, and then repairs it continuously.
func (a *agent) settle(ctx context.Context) {
	select {
	case <-a.complete:
	case <-ctx.Done():
		return
	}
	synced := make(chan struct{})
	a.start(ctx, func(ctx context.Context) {
		if a.follower.Wait(ctx) == nil {
			a.forget()
			a.source.Store("api")
			a.saver.touch()
			close(synced)
		}
	})
	var late <-chan time.Time
	if a.loaded != nil {
		timer := time.NewTimer(withoutAPI)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-synced:
	case <-late:
		klog.FromContext(ctx).Info("The API does not respond; using the last state on disk")
	case <-ctx.Done():
		return
	}
	close(a.known)
	if a.applier.Wait(ctx) != nil {
		return
	}
	settled := sync.OnceFunc(func() { close(a.settled) })
	for {
		begin := time.Now()
		a.repair(ctx)
		settled()
		select {
		case <-time.After(repairPause(time.Since(begin))):
		case <-ctx.Done():
			return
		}
	}
}

// repairPause returns the delay after a pass that took the given time.
func repairPause(took time.Duration) time.Duration {
	return min(max(repairEvery, 9*took), repairAtLatest)
}

// forget drops objects that were on disk and are no longer in the API.
func (a *agent) forget() {
	var gone []intent.Key
	a.applier.Each(func(s apply.State) { gone = append(gone, s.Intent.Key) })
	for _, key := range gone {
		if !a.follower.Knows(key) {
			a.applier.Delete(key)
		}
	}
}

func (a *agent) repair(ctx context.Context) {
	n, err := a.Plane.Repair()
	if a.repairOwn != nil {
		again, e := a.repairOwn()
		err = errors.Join(err, e)
		if again {
			n++
		}
	}
	a.repairs.Add(uint64(n))
	a.repaired.Store(time.Now().UnixNano())
	text := ""
	if err != nil {
		text = fmt.Sprintf("the data plane can't be repaired: %v", err)
		if a.repairErr.Load() != text {
			klog.FromContext(ctx).Error(err, "The data plane can't be repaired, trying again")
		}
	}
	a.repairErr.Store(text)
	if n > 0 {
		klog.FromContext(ctx).Info("Repaired the data plane", "things", n)
	}
}

// Ready implements status.Source.
func (a *agent) Ready() error {
	switch {
	case a.repaired.Load() == 0 && a.source.Load() == "none":
		return errors.New("the API has not provided the desired state yet, and there is no last state on disk")
	case a.repaired.Load() == 0:
		return errors.New("the desired state is being programmed")
	}
	return nil
}

// Healthy implements status.Source.
func (a *agent) Healthy() error {
	last := a.repaired.Load()
	if last != 0 && time.Since(time.Unix(0, last)) > stuck {
		return fmt.Errorf("the data plane was last checked %s ago", time.Since(time.Unix(0, last)).Round(time.Second))
	}
	return nil
}

// Trace implements status.Source.
func (a *agent) Trace(ctx context.Context, tunnel uint32, show func(dataplane.TraceEvent)) error {
	return a.Plane.Trace(ctx, tunnel, show)
}

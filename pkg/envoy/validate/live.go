// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/envoy/bootstrap"
	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/version"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

const (
	// minRestart and maxRestart limit the delay before the long-running Envoy is
	// restarted after it exited. An Envoy that ran for stable is restarted immediately.
	minRestart, maxRestart = 100 * time.Millisecond, 30 * time.Second
	stable                 = 10 * time.Second
	// maxReloads is the number of resources after which the long-running Envoy is
	// replaced: Envoy does not release all memory.
	maxReloads = 200_000
)

// live is an Envoy that keeps running. It gets resources over xDS under unique names,
// without anything to bind or to connect to, and responds within milliseconds.
type live struct {
	options Options
	server  *xds.Server

	mu sync.Mutex
	// connected is set while the Envoy has a stream.
	connected bool
	// open holds the pending questions, by the key of the resource in set.
	open map[resource.Key]*question
	// set is the Envoy's configuration.
	set resource.Set
	// asked counts the questions to the current Envoy, and process is that Envoy.
	asked   int
	process *os.Process
	// judge logs once if the version of Envoy is not the one that EPIC is made for.
	judge sync.Once
}

// question is one resource to be validated. Callers with the same content share it.
type question struct {
	callers int
	done    chan struct{}
	// text is Envoy's error. err is set if there is no result.
	text string
	err  error
}

var (
	errGone    = errors.New("the Envoy that checks resources exited")
	errTimeout = errors.New("the Envoy that checks resources does not answer")
)

// self is the identity of the long-running Envoy on its stream.
var self = proxyidentity.Identity{Proxy: proxyidentity.Proxy{Namespace: "epic", Kind: proxyidentity.GWProxy, Name: "validate"}, Pod: "validate"}

func newLive(o Options) *live {
	l := &live{options: o, open: map[resource.Key]*question{}, set: resource.Set{}}
	session := delta.DefaultOptions()
	// Nothing waits for an acknowledgment of clusters, which have no endpoints here.
	session.WarmTimeout = time.Millisecond
	l.server = xds.NewServer(xds.Options{
		Identify: func(context.Context) (proxyidentity.Identity, time.Time, error) { return self, time.Time{}, nil },
		Observer: l, Session: session, Unmetered: true,
		// It requests each secret and each route configuration that listeners name.
		RequestRate: 1e6, RequestBurst: 1e6,
	})
	l.server.Set(self.Proxy, xds.Config{Resources: resource.Set{}}, 0)
	return l
}

// ask validates resources and adds the results to answers. It returns the resources
// without a result.
func (l *live) ask(ctx context.Context, resources []*resource.Resource, answer func(*resource.Resource, string)) []*resource.Resource {
	wrapped := make(map[*resource.Resource]*resource.Resource, len(resources))
	var rest []*resource.Resource
	for _, r := range resources {
		w, refusal, err := wrap(r)
		switch {
		case err != nil:
			rest = append(rest, r)
		case refusal != "":
			answer(r, refusal)
		default:
			wrapped[r] = w
		}
	}
	questions, ok := l.pose(wrapped)
	if !ok {
		return resources
	}
	defer l.drop(wrapped)
	timer := time.NewTimer(l.options.LiveTimeout)
	defer timer.Stop()
	for r, q := range questions {
		select {
		case <-q.done:
		case <-ctx.Done():
			q = &question{err: ctx.Err()}
		case <-timer.C:
			// A single resource may block the Envoy for everybody.
			l.kill()
			timer.Reset(0)
			q = &question{err: errTimeout}
		}
		if q.err != nil {
			rest = append(rest, r)
			continue
		}
		answer(r, strings.ReplaceAll(q.text, wrapped[r].Name, r.Name))
	}
	return rest
}

func (l *live) isConnected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connected
}

// pose adds resources to the Envoy's configuration. It returns false if there is no
// Envoy.
func (l *live) pose(wrapped map[*resource.Resource]*resource.Resource) (map[*resource.Resource]*question, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.connected {
		return nil, false
	}
	questions := make(map[*resource.Resource]*question, len(wrapped))
	for r, w := range wrapped {
		q := l.open[w.Key()]
		if q == nil {
			q = &question{done: make(chan struct{})}
			l.open[w.Key()], l.set[w.Key()] = q, w
			l.asked++
		}
		q.callers++
		questions[r] = q
	}
	l.push()
	return questions, true
}

// drop removes resources that nobody waits for from the Envoy's configuration.
func (l *live) drop(wrapped map[*resource.Resource]*resource.Resource) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range wrapped {
		if q := l.open[w.Key()]; q != nil {
			if q.callers--; q.callers == 0 {
				delete(l.open, w.Key())
				delete(l.set, w.Key())
			}
		}
	}
	l.push()
	if l.asked > maxReloads && len(l.open) == 0 && l.process != nil {
		l.asked = 0
		_ = l.process.Signal(syscall.SIGTERM)
	}
}

// push sets the Envoy's configuration. The caller holds the lock, so the newest is set
// last.
func (l *live) push() { l.server.Set(self.Proxy, xds.Config{Resources: maps.Clone(l.set)}, 0) }

func (l *live) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.process != nil {
		_ = l.process.Kill()
	}
}

// answer records the Envoy's result for a resource.
func (l *live) answer(k resource.Key, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.open[k]; q != nil {
		q.resolve(text, nil)
	}
}

// resolve records a result, unless there already is one. The caller holds the lock.
func (q *question) resolve(text string, err error) {
	select {
	case <-q.done:
	default:
		q.text, q.err = text, err
		close(q.done)
	}
}

// Connected implements xds.Observer.
func (l *live) Connected(proxyidentity.Identity, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connected = true
}

// Disconnected implements xds.Observer.
func (l *live) Disconnected(proxyidentity.Identity, time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connected = false
	for _, q := range l.open {
		q.resolve("", errGone)
	}
}

// Acknowledged implements xds.Observer.
func (l *live) Acknowledged(_ proxyidentity.Identity, a delta.Acknowledgment) {
	for _, e := range a.Entries {
		l.answer(e.Key(), "")
	}
	l.judge.Do(func() {
		for _, pod := range l.server.State(self.Proxy).Pods {
			if pod.Version.Differs() != 0 {
				klog.Background().Info("The validator's Envoy is not the version that EPIC is built for; it may reject configurations that the proxies' Envoys accept, and vice versa",
					"version", pod.Version.String(), "madeFor", version.Made)
			}
		}
	})
}

// Refused implements xds.Observer.
func (l *live) Refused(_ proxyidentity.Identity, r delta.Refusal) {
	l.answer(r.Resource.Key(), strings.TrimSpace(r.Text))
}

// run keeps an Envoy running until ctx ends.
func (l *live) run(ctx context.Context) error {
	dir, err := os.MkdirTemp(l.options.Dir, "epic-validate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // what is left is small
	socket := filepath.Join(dir, "xds.sock")
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", socket)
	if err != nil {
		return fmt.Errorf("serve the Envoy that checks resources: %w", err)
	}
	g := grpc.NewServer(xds.GRPCOptions()...)
	l.server.Register(g)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = g.Serve(listener)
	}()
	defer func() { <-served }()
	defer g.Stop()
	start := bootstrap.Config{NodeID: "epic-validate", NodeCluster: "epic-validate", XDSSocket: socket, AdminSocket: filepath.Join(dir, "admin.sock")}
	text, err := start.JSON()
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "bootstrap.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	for wait := minRestart; ctx.Err() == nil; {
		began := time.Now()
		words, err := l.once(ctx, file)
		if ctx.Err() != nil {
			break
		}
		if wait *= 2; time.Since(began) > stable {
			wait = minRestart
		}
		wait = min(wait, maxRestart)
		klog.FromContext(ctx).V(2).Info("The Envoy that checks resources exited; restarting it", "reason", err, "log", words, "wait", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// once runs an Envoy to its end and returns the end of its log.
func (l *live) once(ctx context.Context, file string) (string, error) {
	// Envoy ends with this program. The kernel ties this to the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, l.options.Envoy, "--config-path", file, "--concurrency", "1", "--disable-hot-restart",
		"--drain-time-s", "1", "--drain-strategy", "immediate", "--log-level", "critical")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log, err := l.options.start(cmd, filepath.Dir(file))
	if err != nil {
		return "", err
	}
	l.mu.Lock()
	l.process, l.asked = cmd.Process, 0
	l.mu.Unlock()
	err = cmd.Wait()
	l.mu.Lock()
	l.process = nil
	l.mu.Unlock()
	return words(log.String(), file), err
}

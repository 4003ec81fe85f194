// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/node/cni/wire"
	"github.com/acnodal/epic/pkg/operator/runner"
	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/privatefile"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

const (
	// grace is how long a proxy may take to end, so connections can complete.
	grace = 200 * time.Second
	// A proxy that exits is restarted after minBackoff, then after twice as long each
	// time, up to maxBackoff. After it has run for calm, the delay is reset.
	minBackoff = 500 * time.Millisecond
	maxBackoff = 30 * time.Second
	calm       = time.Minute
	// notYet is the delay while waiting for the node program.
	notYet = 200 * time.Millisecond
	// found is how long a proxy that an earlier operator left running counts as ready
	// although it has not connected to this one yet.
	found = 20 * time.Second
	// withoutAPI is how long proxies that do not run wait for the API's objects before
	// they are started from their records, and tending the interval of checks from then
	// on.
	withoutAPI = 5 * time.Second
	tending    = 500 * time.Millisecond
)

// Options configures a Runner.
type Options struct {
	// Dir is the runner's directory.
	Dir string
	// Network connects proxies.
	Network Network
	// NodeAddress is the address of this gateway node for tunnels; empty if there are
	// none.
	NodeAddress string
	// Command returns the command line of epic-proxy for a proxy, with its own directory
	// and the file with its token.
	Command func(p *workload.Proxy, pod, folder, tokenFile string) []string
	// Identities issues and revokes identities of proxies.
	Identities Identities
	// Ready reports whether a proxy serves.
	Ready func(key proxyidentity.Proxy, pod string) bool
	// Changed is called when a proxy has ended or was restarted.
	Changed func(key proxyidentity.Proxy)
	// Grace overrides, in tests, how long a proxy may take to end.
	Grace time.Duration
}

// Identities lets proxies prove their identity.
type Identities interface {
	// Issue returns a one-time secret that proves a proxy's identity.
	Issue(identity proxyidentity.Identity) string
	// Allow lets a proxy renew an identity that an earlier operator issued.
	Allow(identity proxyidentity.Identity)
	// Revoke revokes an identity.
	Revoke(identity proxyidentity.Identity)
}

// Runner runs proxies as processes of this host, at most one for each object.
type Runner struct {
	o Options

	mu      sync.Mutex
	proxies map[proxyidentity.Proxy]*proxy
	stopped bool
	ending  sync.WaitGroup
}

// proxy is a proxy that runs or should run.
type proxy struct {
	record
	id    string
	child *child
	want  *workload.Proxy
	// failures is the number of consecutive failures, and next the time of the next
	// start.
	failures int
	next     time.Time
	begun    time.Time
	// adopted indicates that an earlier operator started the child.
	adopted bool
}

// New returns a runner that takes over the processes of an earlier operator.
func New(ctx context.Context, o Options) (*Runner, error) {
	if o.Grace == 0 {
		o.Grace = grace
	}
	r := &Runner{o: o, proxies: map[proxyidentity.Proxy]*proxy{}}
	if err := os.MkdirAll(r.folders(), 0o700); err != nil {
		return nil, err
	}
	all, begun, err := records(r.folders())
	if err != nil {
		return nil, err
	}
	for _, folder := range begun {
		if err := r.undo(folder); err != nil {
			return nil, err
		}
	}
	for folder, rec := range all {
		if rec.Process == (identity{}) {
			rec.Process = lost(rec.Mark)
		}
		id, _, ending := strings.Cut(folder, endingMark)
		if ending {
			_, replaced := all[id]
			r.resume(ctx, id, folder, rec, replaced)
			continue
		}
		p := &proxy{record: *rec, id: id, child: adopt(rec.Process), begun: time.Now(), adopted: true}
		r.proxies[rec.key()] = p
		if p.child != nil {
			o.Identities.Allow(p.proxyIdentity())
			go r.watch(p, p.child)
		}
	}
	if len(r.proxies) > 0 {
		klog.FromContext(ctx).Info("Found proxies that an earlier operator started", "proxies", len(r.proxies))
	}
	return r, r.describe()
}

func (r *Runner) folders() string { return filepath.Join(r.o.Dir, "p") }

func (r *Runner) folder(id string) string { return filepath.Join(r.folders(), id) }

// PodName returns the name of an object's proxy on this host.
func PodName(p *workload.Proxy) string { return p.ResourceName() + "-0" }

// Ensure implements runner.Runner.
func (r *Runner) Ensure(ctx context.Context, p *workload.Proxy) (runner.Progress, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return runner.Progress{}, errors.New("the operator is stopping")
	}
	key := runner.KeyOf(p)
	has := r.proxies[key]
	if has != nil && has.UID != p.UID {
		// The proxy belongs to another object of that name.
		if err := r.end(ctx, has); err != nil {
			return runner.Progress{}, err
		}
		has = nil
	}
	progress := runner.Progress{Desired: p.Replicas, Placements: map[string]string{}}
	if p.Replicas > 1 {
		progress.Reason = "TooFewNodes"
		progress.Message = fmt.Sprintf("envoy-replica-count is %d, but this operator runs processes on one gateway node, so one Envoy runs: run the operator in a cluster, or set envoy-replica-count to 1", p.Replicas)
	}
	if has == nil {
		has = &proxy{id: id(r.o.Dir, key), record: record{Kind: p.Kind, Namespace: p.Namespace, Name: p.Name, UID: p.UID, Pod: PodName(p)}}
		if err := os.MkdirAll(filepath.Join(r.folder(has.id), "run"), 0o700); err != nil {
			return runner.Progress{}, err
		}
		// Record it before anything is created for it, so Remove also undoes an
		// incomplete start.
		r.proxies[key] = has
	}
	has.want = p
	link, err := r.o.Network.Attach(has.id, has.Pod, p)
	if wire.Retryable(err) {
		progress.Reason, progress.Message, progress.Retry = "Pending", err.Error(), notYet
		return progress, nil
	}
	if err != nil {
		return progress, err
	}
	if has.Link.Netns != link.Netns || has.Link.Bridge != link.Bridge || !slices.Equal(has.Link.Addresses, link.Addresses) {
		has.Link = link
		if err := has.save(r.folder(has.id)); err != nil {
			return progress, err
		}
	}
	if err := r.describe(); err != nil {
		return progress, err
	}
	if r.o.NodeAddress != "" {
		progress.Placements[has.Pod] = r.o.NodeAddress
	}
	if err := r.run(ctx, has); err != nil {
		return progress, err
	}
	progress.Updated = 1
	if has.child != nil && has.child.running() && (r.o.Ready(key, has.Pod) || has.adopted && time.Since(has.begun) < found) {
		progress.Ready = 1
	}
	if has.failures > 1 && progress.Ready == 0 {
		progress.Reason = "ProxyExits"
		progress.Message = fmt.Sprintf("The proxy %s exited %d times in a row; its log is %s", has.Pod, has.failures, filepath.Join(r.folder(has.id), "log"))
	}
	return progress, nil
}

// run starts a proxy's process unless it runs. The caller holds the lock.
func (r *Runner) run(ctx context.Context, p *proxy) error {
	if p.child != nil && p.child.running() || time.Now().Before(p.next) {
		return nil
	}
	folder := r.folder(p.id)
	// Each start gets a new secret, which can be used once.
	if err := privatefile.Write(filepath.Join(folder, "token"), []byte(r.o.Identities.Issue(p.proxyIdentity()))); err != nil {
		return err
	}
	argv := p.Argv
	if p.want != nil {
		argv = r.o.Command(p.want, p.Pod, filepath.Join(folder, "run"), filepath.Join(folder, "token"))
	}
	// If the operator is killed before it saves the process ID, the next one finds the
	// process by the mark.
	p.Argv, p.Mark, p.Process = argv, rand.Text(), identity{}
	if err := p.save(folder); err != nil {
		return err
	}
	log := filepath.Join(folder, "log")
	c, err := start(argv, p.Mark, folder, log, func(do func() error) error { return r.o.Network.Do(p.Link, do) })
	if err != nil {
		return err
	}
	p.child, p.Process, p.begun, p.adopted = c, c.identity, time.Now(), false
	go r.watch(p, c)
	klog.FromContext(ctx).Info("Started a proxy", "proxy", klog.KRef(p.Namespace, p.Pod), "pid", c.PID, "log", log)
	return p.save(folder)
}

// Tend starts proxies that an earlier operator left and that do not run, as after a
// reboot, until the API determines what should run. They serve their previous
// configuration. It returns when ctx ends or every proxy is known from the API.
func (r *Runner) Tend(ctx context.Context) {
	told := map[proxyidentity.Proxy]string{}
	for wait := withoutAPI; ; wait = tending {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if r.tend(ctx, told) == 0 {
			return
		}
	}
}

// tend returns the number of proxies that are not known from the API. It logs what
// prevents a proxy from being started when that changes.
func (r *Runner) tend(ctx context.Context, told map[proxyidentity.Proxy]string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	unknown := 0
	for key, p := range r.proxies {
		if p.want != nil || r.stopped {
			continue
		}
		unknown++
		if len(p.Argv) == 0 || p.child != nil && p.child.running() {
			continue
		}
		err := r.o.Network.Restore(p.id, &p.record)
		if err == nil {
			err = r.run(ctx, p)
		}
		if err == nil {
			delete(told, key)
		} else if told[key] != err.Error() {
			told[key] = err.Error()
			klog.FromContext(ctx).Info("A proxy can't be restarted with its last state; trying again", "proxy", klog.KRef(p.Namespace, p.Pod), "reason", err)
		}
	}
	return unknown
}

// Renew writes a new secret for a proxy that has used its previous one, so it can restart
// without the operator.
func (r *Runner) Renew(id proxyidentity.Identity) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.proxies[id.Proxy]
	if p == nil || p.Pod != id.Pod || r.stopped {
		return
	}
	if err := privatefile.Write(filepath.Join(r.folder(p.id), "token"), []byte(r.o.Identities.Issue(id))); err != nil {
		klog.Background().Error(err, "A proxy can't be restarted automatically", "proxy", klog.KRef(p.Namespace, p.Pod))
	}
}

// watch restarts a proxy when it has ended.
func (r *Runner) watch(p *proxy, c *child) {
	<-c.done
	r.mu.Lock()
	if p.child != c || r.stopped || r.proxies[p.key()] != p {
		r.mu.Unlock()
		return
	}
	if time.Since(p.begun) > calm {
		p.failures = 0
	}
	wait := min(minBackoff<<min(p.failures, 16), maxBackoff)
	p.failures++
	p.next = time.Now().Add(wait)
	r.mu.Unlock()
	time.AfterFunc(wait, func() { r.o.Changed(p.key()) })
}

// end ends a proxy, which may take a while, and removes what was created for it. After an
// error, the proxy is either unchanged, or ends nevertheless and only the description is
// outdated: Remove writes it again. The caller holds the lock.
func (r *Runner) end(ctx context.Context, p *proxy) error {
	// Another object of the same name may be created while it ends.
	away := r.folder(p.id) + endingMark + fmt.Sprint(time.Now().UnixNano())
	if err := os.Rename(r.folder(p.id), away); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(r.proxies, p.key())
	// A full disk must not keep the process running.
	described := r.describe()
	r.o.Identities.Revoke(p.proxyIdentity())
	logger := klog.FromContext(ctx)
	// The address may be assigned to another object soon, so remove it immediately.
	if err := r.o.Network.Detach(p.id, p.Link); err != nil {
		logger.Error(err, "Cannot disconnect a proxy", "proxy", klog.KRef(p.Namespace, p.Pod))
	}
	r.finish(ctx, &p.record, p.child, away)
	return described
}

// finish waits until a proxy's process has ended, and then removes its directory.
func (r *Runner) finish(ctx context.Context, of *record, c *child, folder string) {
	logger := klog.FromContext(ctx)
	r.ending.Go(func() {
		if c != nil {
			if err := c.stop(r.o.Grace); err != nil {
				logger.Error(err, "Cannot stop a proxy", "proxy", klog.KRef(of.Namespace, of.Pod))
				return
			}
		}
		if err := os.RemoveAll(folder); err != nil {
			logger.Error(err, "Cannot remove a proxy's directory", "folder", folder)
		}
	})
}

// resume completes the end of a proxy if an earlier operator itself ended before the
// proxy did. The proxy's object may have been replaced by one of the same name, which has
// another proxy.
func (r *Runner) resume(ctx context.Context, id, folder string, of *record, replaced bool) {
	if !replaced {
		if err := r.o.Network.Detach(id, of.Link); err != nil {
			klog.FromContext(ctx).Error(err, "Cannot disconnect a proxy", "proxy", klog.KRef(of.Namespace, of.Pod))
		}
	}
	r.finish(ctx, of, adopt(of.Process), r.folder(folder))
}

// undo removes what was created for a proxy that was never started, and whose directory
// has no record.
func (r *Runner) undo(folder string) error {
	if id, _, ending := strings.Cut(folder, endingMark); !ending {
		if err := r.o.Network.Detach(id, Link{}); err != nil {
			return fmt.Errorf("disconnect the proxy of %s, which was never started: %w", r.folder(folder), err)
		}
	}
	return os.RemoveAll(r.folder(folder))
}

// Remove implements runner.Runner.
func (r *Runner) Remove(ctx context.Context, key proxyidentity.Proxy) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil
	}
	if p := r.proxies[key]; p != nil {
		return r.end(ctx, p)
	}
	// It may have ended without an update of the description.
	return r.describe()
}

// Keys implements runner.Runner.
func (r *Runner) Keys(context.Context) ([]proxyidentity.Proxy, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]proxyidentity.Proxy, 0, len(r.proxies))
	for key := range r.proxies {
		keys = append(keys, key)
	}
	return keys, nil
}

// Stop stops starting proxies. Running ones continue.
func (r *Runner) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
}

// EndAll ends every proxy and waits until all have ended.
func (r *Runner) EndAll(ctx context.Context) error {
	r.mu.Lock()
	var errs []error
	for _, p := range r.proxies {
		errs = append(errs, r.end(ctx, p))
	}
	r.mu.Unlock()
	r.ending.Wait()
	return errors.Join(errs...)
}

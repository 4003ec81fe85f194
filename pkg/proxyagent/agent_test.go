// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/test/tools/freeport"
)

// site is what one listener needs.
func site(t *testing.T, name string, port, backendPort int) []*resource.Resource {
	return []*resource.Resource{
		listener(t, name, port), route(t, name, name, ""), cluster(t, name), endpoints(t, name, backendPort),
	}
}

// An Envoy that is killed, and a program that starts again, serve what Envoy accepted
// though the operator is away. When it is back, only differences are sent.
func TestStaticStability(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	p := startPod(t, o, dir)
	port, second := freeport.Get(t), backend(t, "second")
	o.set(site(t, "web", port, backend(t, "first"))...)
	waitFor(t, port, "first")
	o.settled()
	received := p.counters.resources.Load()
	if received != 4 {
		t.Errorf("%d resources were received, want 4", received)
	}

	o.stop()
	if got, err := get(port, "/"); err != nil || got != "first" {
		t.Fatalf("with the operator away: %q, %v", got, err)
	}
	pid, _ := p.supervisor.state()
	killed := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, port, "first")
	t.Logf("a killed Envoy serves again after %s", time.Since(killed).Round(time.Millisecond))

	p.stop()
	// A socket that went later could be that of the next program.
	for _, socket := range []string{xdsSocket, agentSocket} {
		if _, err := os.Lstat(filepath.Join(dir, socket)); err == nil {
			t.Errorf("%s is there after the program's end", socket)
		}
	}
	p = startPod(t, o, dir)
	waitFor(t, port, "first")

	// The endpoints change while the pod can't know.
	resources := site(t, "web", port, second)
	set := resource.Set{}
	for _, r := range resources {
		set[r.Key()] = r
	}
	o.config.Resources = set
	o.start()
	waitFor(t, port, "second")
	o.settled()
	if got := p.counters.resources.Load(); got != 1 {
		t.Errorf("%d resources were received after the operator came back, want the one that changed", got)
	}

	// Envoy is killed with the operator there: nothing has to come from it.
	before := p.counters.resources.Load()
	pid, _ = p.supervisor.state()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, port, "second")
	o.settled()
	if got := p.counters.resources.Load() - before; got != 0 {
		t.Errorf("%d resources were received after Envoy was killed", got)
	}
}

// After a reboot there is nothing in memory. Envoy serves by what is on the disk though the
// operator is away.
func TestReboot(t *testing.T) {
	dir, kept := shortDir(t), t.TempDir()
	o := newOperator(t, dir)
	keep := func(o *Options) { o.KeepDir = kept }
	p := startPod(t, o, dir, keep)
	port := freeport.Get(t)
	o.set(site(t, "web", port, backend(t, "first"))...)
	waitFor(t, port, "first")
	o.settled()
	if err := p.store.sync(); err != nil {
		t.Fatal(err)
	}
	o.stop()
	p.stop()
	for _, folder := range []string{resourcesDir, identityDir} {
		if err := os.RemoveAll(filepath.Join(dir, folder)); err != nil {
			t.Fatal(err)
		}
	}
	startPod(t, o, dir, keep)
	waitFor(t, port, "first")
}

// A refused resource does not keep others of the same update away, and its source is
// reported with Envoy's words.
func TestRefusalIsIsolated(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	p := startPod(t, o, dir)
	good, bad, to := freeport.Get(t), freeport.Get(t), backend(t, "hello")
	o.set(append(append(site(t, "good", good, to), listener(t, "bad", bad)), route(t, "bad", "good", ""))...)
	waitFor(t, good, "hello")
	waitFor(t, bad, "hello")
	o.settled()

	other := backend(t, "other")
	o.set(append(append(append(site(t, "next", freeport.Get(t), other), listener(t, "good", good), route(t, "good", "next", ""),
		cluster(t, "good"), endpoints(t, "good", to)), listener(t, "bad", bad)), route(t, "bad", "good", "(unclosed"))...)
	waitFor(t, good, "other")
	o.settled()
	if got, err := get(bad, "/"); err != nil || got != "hello" {
		t.Errorf("the listener whose route was refused: %q, %v; it should serve by the last good one", got, err)
	}
	state := o.server.State(web.Proxy)
	if len(state.Pods[0].Refused) != 1 {
		t.Fatalf("refused: %v", state.Pods[0].Refused)
	}
	r := state.Pods[0].Refused[0]
	if r.Resource.Name != "bad" || r.Resource.Sources[0].Name != "bad" || !strings.Contains(r.Text, "unclosed") {
		t.Errorf("%s %s is reported with %v: %s", r.Resource.Type, r.Resource.Name, r.Resource.Sources, r.Text)
	}
	config := p.config(false)
	found := false
	for _, c := range config.Resources {
		if c.Type == "route" && c.Name == "bad" {
			found = c.Refusal == r.Text && c.Sent != c.Accepted && c.Accepted != ""
		}
	}
	if !found {
		t.Errorf("the pod's own view: %+v", config.Resources)
	}

	// A later version is tried.
	o.set(append(append(site(t, "good", good, to), listener(t, "bad", bad)), route(t, "bad", "good", "/closed"))...)
	eventually(t, "the new version", func() bool {
		_, err := get(bad, "/closed")
		return err == nil && len(o.server.State(web.Proxy).Pods[0].Refused) == 0
	})
}

// A certificate is renewed without a new stream of Envoy and without a failed request.
func TestRotation(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	p := startPod(t, o, dir)
	port, a, b := freeport.Get(t), backend(t, "a"), backend(t, "b")
	o.set(site(t, "web", port, a)...)
	waitFor(t, port, "a")
	o.settled()
	load := startLoad(port)
	serial := p.identity.current().Leaf.SerialNumber
	received := p.counters.resources.Load()
	for range 3 {
		before := o.connections.Load()
		if err := p.identity.renew(t.Context(), p.relay.dialer); err != nil {
			t.Fatal(err)
		}
		p.relay.renew()
		eventually(t, "a stream with the new certificate", func() bool { return o.connections.Load() > before })
		for i := range 10 {
			o.server.SetEndpoints(web.Proxy, "", endpoints(t, "web", []int{a, b}[i%2]))
		}
		waitFor(t, port, "b")
		o.settled()
		o.server.SetEndpoints(web.Proxy, "", endpoints(t, "web", a))
		waitFor(t, port, "a")
		o.settled()
	}
	load.check(t)
	if p.identity.current().Leaf.SerialNumber.Cmp(serial) == 0 {
		t.Error("the certificate is the same")
	}
	if n := p.counters.envoyStreams.Load(); n != 1 {
		t.Errorf("Envoy opened %d streams", n)
	}
	t.Logf("%d requests, %d resources received", load.requests, p.counters.resources.Load()-received)
}

// A request that is under way when the pod is told to end is answered, and the pod is
// no longer ready at once.
func TestDrain(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	p := startPod(t, o, dir, func(o *Options) { o.DrainDelay = 300 * time.Millisecond })
	port, arrived, release := freeport.Get(t), make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
		fmt.Fprint(w, "hello")
	}))
	t.Cleanup(server.Close)
	o.set(site(t, "web", port, server.Listener.Addr().(*net.TCPAddr).Port)...)
	waitFor(t, port, "hello")
	o.settled()
	if status := probe(t, dir, "/readyz"); status != "200 OK" {
		t.Errorf("ready: %s", status)
	}
	type answer struct {
		text string
		err  error
	}
	slow := make(chan answer, 1)
	go func() {
		text, err := get(port, "/slow")
		slow <- answer{text, err}
	}()
	<-arrived
	began := time.Now()
	p.end()
	eventually(t, "the pod to be unready", func() bool { return p.draining.Load() })
	if status := probe(t, dir, "/readyz"); status != "503 Service Unavailable" {
		t.Errorf("ready while draining: %s", status)
	}
	if status := probe(t, dir, "/livez"); status != "200 OK" {
		t.Errorf("live while draining: %s", status)
	}
	// Until routes are withdrawn, new clients are served as usual.
	if got, err := get(port, "/"); err != nil || got != "hello" {
		t.Errorf("a new client while the pod drains: %q, %v", got, err)
	}
	// The request ends some time after clients were asked to go.
	time.AfterFunc(time.Second, func() { close(release) })
	p.stop()
	if a := <-slow; a.err != nil || a.text != "hello" {
		t.Errorf("the request that was under way: %q, %v", a.text, a.err)
	}
	t.Logf("the pod ended after %s", time.Since(began).Round(time.Millisecond))
}

// A pod without endpoints in its configuration, and one without any configuration.
func TestReadiness(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	p := startPod(t, o, dir)
	eventually(t, "the stream", func() bool { return o.connections.Load() > 0 })
	if status := probe(t, dir, "/readyz"); status != "503 Service Unavailable" {
		t.Errorf("ready without a configuration: %s", status)
	}
	o.set()
	eventually(t, "readiness with an empty configuration", func() bool { return probe(t, dir, "/readyz") == "200 OK" })
	if p.config(false).Envoy.PID == 0 {
		t.Error("the configuration does not name Envoy's process")
	}
}

// An Envoy whose stream breaks off, as on a host that stood still for a while, opens it again
// and is sent nothing, because it has everything. Its pod is ready as before, with the operator
// and without.
func TestStreamBreaksOff(t *testing.T) {
	for name, test := range map[string]struct {
		away, empty bool
	}{
		"with the operator": {}, "without the operator": {away: true}, "nothing is configured": {empty: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := shortDir(t)
			o := newOperator(t, dir)
			p := startPod(t, o, dir)
			o.set()
			if !test.empty {
				port := freeport.Get(t)
				o.set(site(t, "web", port, backend(t, "a"))...)
				waitFor(t, port, "a")
			}
			eventually(t, "readiness", func() bool { return probe(t, dir, "/readyz") == "200 OK" })
			o.settled()
			if test.away {
				o.stop()
			}
			pid := p.config(false).Envoy.PID
			for n := int64(2); n <= 3; n++ {
				p.relay.mu.Lock()
				end := p.relay.end
				p.relay.mu.Unlock()
				end()
				eventually(t, "another stream", func() bool { return p.counters.envoyStreams.Load() >= n })
				eventually(t, "readiness", func() bool { return probe(t, dir, "/readyz") == "200 OK" })
			}
			if got := p.config(false).Envoy.PID; got != pid {
				t.Errorf("it is another Envoy: %d, %d", pid, got)
			}
		})
	}
}

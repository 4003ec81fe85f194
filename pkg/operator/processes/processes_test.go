// SPDX-License-Identifier: Apache-2.0

package processes

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/operator/workload"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// patience is how long something may take on a busy machine.
const patience = 30 * time.Second

// identities remembers what was done.
type identities struct {
	mu   sync.Mutex
	said []string
}

func (i *identities) say(what string, id proxyidentity.Identity) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.said = append(i.said, what+" "+id.Pod)
}

func (i *identities) Issue(id proxyidentity.Identity) string { i.say("issue", id); return "secret" }
func (i *identities) Allow(id proxyidentity.Identity)        { i.say("allow", id) }
func (i *identities) Revoke(id proxyidentity.Identity)       { i.say("revoke", id) }

func (i *identities) has(what string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Contains(i.said, what)
}

// rig is a runner whose proxies are shells.
type rig struct {
	t *testing.T
	*Runner
	identities *identities
	changed    chan proxyidentity.Proxy
	ready      bool
}

func newRig(t *testing.T, dir, script string) *rig {
	t.Helper()
	r := &rig{t: t, identities: &identities{}, changed: make(chan proxyidentity.Proxy, 100)}
	var err error
	r.Runner, err = New(t.Context(), Options{
		Dir: dir, Network: Loopback{}, NodeAddress: "192.0.2.40", Identities: r.identities, Grace: time.Minute,
		Command: func(_ *workload.Proxy, pod, folder, token string) []string {
			return []string{"/bin/sh", "-c", script, pod, folder, token}
		},
		Ready:   func(proxyidentity.Proxy, string) bool { return r.ready },
		Changed: func(id proxyidentity.Proxy) { r.changed <- id },
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) ensure(p *workload.Proxy) (ready int32, reason string) {
	r.t.Helper()
	progress, err := r.Ensure(context.Background(), p)
	if err != nil {
		r.t.Fatal(err)
	}
	return progress.Ready, progress.Reason
}

func (r *rig) wait() proxyidentity.Proxy {
	r.t.Helper()
	select {
	case id := <-r.changed:
		return id
	case <-time.After(patience):
		r.t.Fatal("nothing changed")
	}
	return proxyidentity.Proxy{}
}

func shop() *workload.Proxy {
	return &workload.Proxy{Kind: workload.LoadBalancer, Namespace: "epic-acme", Name: "shop", UID: "u1", Replicas: 1, Address: "192.0.2.1"}
}

// until waits for a condition of files and processes.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

const forever = `trap 'exit 0' TERM; while :; do sleep 0.1; done`

// A proxy is started once, survives the operator, is found again, and ends with its
// object.
func TestLife(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir, forever)
	key := proxyidentity.Proxy{Namespace: "epic-acme", Kind: "LoadBalancer", Name: "shop"}
	if ready, reason := r.ensure(shop()); ready != 0 || reason != "" {
		t.Errorf("at first %d are ready: %s", ready, reason)
	}
	first := r.proxies[key].Process
	r.ready = true
	if ready, _ := r.ensure(shop()); ready != 1 || r.proxies[key].Process != first {
		t.Errorf("%d are ready, process %v, want that of before %v", ready, r.proxies[key].Process, first)
	}
	if got := r.proxies[key].Link.Addresses; !slices.Equal(got, []netip.Addr{netip.MustParseAddr("127.0.2.1")}) {
		t.Errorf("addresses %v", got)
	}
	progress, err := r.Ensure(t.Context(), shop())
	if err != nil || progress.Placements["lb-shop-0"] != "192.0.2.40" {
		t.Errorf("placements %v, %v", progress.Placements, err)
	}

	// Another operator in its place.
	r.Stop()
	r = newRig(t, dir, forever)
	r.ready = true
	if ready, _ := r.ensure(shop()); ready != 1 || r.proxies[key].Process != first || !r.identities.has("allow lb-shop-0") {
		t.Errorf("after a restart %d are ready, process %v, want %v; %v", ready, r.proxies[key].Process, first, r.identities.said)
	}

	// Another object of the name gets another process.
	other := shop()
	other.UID = "u2"
	r.ensure(other)
	if r.proxies[key].Process == first || !r.identities.has("revoke lb-shop-0") {
		t.Error("another object of the same name goes on with the process")
	}
	until(t, "the former process has ended", func() bool { return !first.alive() })

	second := r.proxies[key].Process
	if err := r.Remove(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	until(t, "the process has ended", func() bool { return !second.alive() })
	until(t, "its folder is gone", func() bool {
		left, err := os.ReadDir(filepath.Join(dir, "p"))
		return err == nil && len(left) == 0
	})
	if keys, err := r.Keys(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("%v, %v are left", keys, err)
	}
}

// A proxy that takes its time to end is ended also if the operator is killed before. It is not
// taken for the one of a new object of the same name, which keeps its process.
func TestKilledWhileOneEnds(t *testing.T) {
	// It is in its own folder, whatever that is called.
	const slow = `trap 'until [ -e may-end ]; do sleep 0.1; done; exit 0' TERM; echo waits; while :; do sleep 0.1; done`
	key := proxyidentity.Proxy{Namespace: "epic-acme", Kind: "LoadBalancer", Name: "shop"}
	for _, replaced := range []bool{true, false} {
		t.Run(fmt.Sprintf("replaced %t", replaced), func(t *testing.T) {
			dir := t.TempDir()
			r := newRig(t, dir, slow)
			r.ensure(shop())
			former := r.proxies[key].Process
			until(t, "the proxy can be told to end", func() bool {
				log, err := os.ReadFile(filepath.Join(r.folder(id(dir, key)), "log"))
				return err == nil && strings.Contains(string(log), "waits")
			})
			t.Cleanup(func() {
				if former.alive() {
					_ = syscall.Kill(-former.PID, syscall.SIGKILL)
				}
			})
			var now identity
			if replaced {
				other := shop()
				other.UID = "u2"
				r.ensure(other)
				now = r.proxies[key].Process
				t.Cleanup(func() { _ = syscall.Kill(-now.PID, syscall.SIGKILL) })
			} else if err := r.Remove(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			// An operator that is killed does nothing more.
			r.Stop()
			for i := range 20 {
				again := newRig(t, dir, slow)
				keys, err := again.Keys(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				switch {
				case replaced && (len(keys) != 1 || again.proxies[key].Process != now || again.proxies[key].UID != "u2"):
					t.Fatalf("start %d: the operator goes on with %v", i, again.proxies[key])
				case !replaced && len(keys) != 0:
					t.Fatalf("start %d: the operator goes on with %v", i, keys)
				}
				again.Stop()
			}
			if !former.alive() {
				t.Fatal("the former proxy has ended already, so the test shows nothing")
			}
			folders, err := filepath.Glob(filepath.Join(dir, "p", "*"+endingMark+"*"))
			if err != nil || len(folders) != 1 {
				t.Fatalf("%q, %v", folders, err)
			}
			if err := os.WriteFile(filepath.Join(folders[0], "may-end"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			until(t, "the former process has ended", func() bool { return !former.alive() })
			until(t, "its folder is gone", func() bool {
				_, err := os.Stat(folders[0])
				return os.IsNotExist(err)
			})
		})
	}
}

// A proxy that ends is started again, later each time, and its object is told.
func TestRestart(t *testing.T) {
	r := newRig(t, t.TempDir(), "echo started; exit 3")
	key := proxyidentity.Proxy{Namespace: "epic-acme", Kind: "LoadBalancer", Name: "shop"}
	r.ensure(shop())
	for range 2 {
		if got := r.wait(); got != key {
			t.Fatalf("%v changed", got)
		}
		r.ensure(shop())
	}
	r.wait()
	if _, reason := r.ensure(shop()); reason != "ProxyExits" {
		t.Errorf("reason %q", reason)
	}
	log, err := os.ReadFile(filepath.Join(r.folder(id(r.o.Dir, key)), "log"))
	if err != nil || strings.Count(string(log), "started") < 3 {
		t.Errorf("log %q, %v", log, err)
	}
	r.Stop()
}

// Another process that got the ID of one that ended is left alone.
func TestAForeignProcess(t *testing.T) {
	own, err := started(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !own.alive() {
		t.Error("this process is said to have ended")
	}
	own.Start += "0"
	if own.alive() || adopt(own) != nil {
		t.Error("another process is taken for one that ended")
	}
}

func TestTooManyReplicas(t *testing.T) {
	r := newRig(t, t.TempDir(), forever)
	p := shop()
	p.Replicas = 3
	if _, reason := r.ensure(p); reason != "TooFewNodes" {
		t.Errorf("reason %q", reason)
	}
	if err := r.EndAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestLoopback(t *testing.T) {
	for public, want := range map[string]string{"192.168.77.2": "127.168.77.2", "10.0.0.1": "127.0.0.1", "2001:db8::1:2": "127.1.0.2"} {
		if got := LoopbackAddress(netip.MustParseAddr(public)); got.String() != want {
			t.Errorf("%s: %s, want %s", public, got, want)
		}
	}
	for port, want := range map[uint16]uint16{80: 10080, 443: 10443, 1023: 11023, 1024: 1024, 8888: 8888} {
		if got := LoopbackPort(port); got != want {
			t.Errorf("port %d: %d, want %d", port, got, want)
		}
	}
}

func TestAddresses(t *testing.T) {
	for name, test := range map[string]struct{ public, alt, want, err string }{
		"one":               {"192.0.2.1", "", "[192.0.2.1]", ""},
		"both families":     {"2001:db8::1", "192.0.2.1", "[2001:db8::1 192.0.2.1]", ""},
		"two of one family": {"192.0.2.2", "192.0.2.1", "[192.0.2.2]", ""},
		"none":              {"", "", "", "no public address"},
		"no address":        {"here", "", "", "not an address"},
	} {
		p := shop()
		p.Address, p.AltAddress = test.public, test.alt
		got, err := publicAddresses(p)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %v", name, err)
			}
		} else if fmt.Sprint(got) != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// After a reboot, with the API away, proxies are started as they were, and started again
// when they end. When the API is back they continue, and those of objects that are gone end.
func TestReboot(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir, forever)
	r.ensure(shop())
	gone := shop()
	gone.Name = "gone"
	r.ensure(gone)
	key, goneKey := r.proxies[proxyidentity.Proxy{Namespace: "epic-acme", Kind: "LoadBalancer", Name: "shop"}].key(), proxyidentity.Proxy{Namespace: "epic-acme", Kind: "LoadBalancer", Name: "gone"}
	r.Stop()
	for _, p := range r.proxies {
		if err := p.child.stop(0); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(r.folder(r.proxies[key].id), "token")); err != nil {
		t.Fatal(err)
	}

	r = newRig(t, dir, "not to be used: the API tells nothing")
	told := map[proxyidentity.Proxy]string{}
	if n := r.tend(t.Context(), told); n != 2 || len(told) != 0 {
		t.Fatalf("%d are not known, %v", n, told)
	}
	first := r.proxies[key].Process
	if !first.alive() || !r.proxies[goneKey].Process.alive() || !r.identities.has("issue lb-shop-0") {
		t.Error("the proxies do not run")
	}
	if token, err := os.ReadFile(filepath.Join(r.folder(r.proxies[key].id), "token")); err != nil || string(token) != "secret" {
		t.Errorf("token %q, %v", token, err)
	}
	if n := r.tend(t.Context(), told); n != 2 || r.proxies[key].Process != first {
		t.Error("one that runs was started again")
	}
	if err := r.proxies[key].child.stop(0); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(); got != key {
		t.Errorf("%v changed", got)
	}
	until(t, "it runs again", func() bool {
		r.tend(t.Context(), told)
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.proxies[key].Process.alive()
	})

	// The API is back.
	second := r.proxies[key].Process
	r.ensure(shop())
	if r.proxies[key].Process != second {
		t.Error("it was started again when the API was back")
	}
	last := r.proxies[goneKey].Process
	if err := r.Remove(t.Context(), goneKey); err != nil {
		t.Fatal(err)
	}
	until(t, "the other has ended", func() bool { return !last.alive() })
	if n := r.tend(t.Context(), told); n != 0 {
		t.Errorf("%d are not known", n)
	}
	if err := r.EndAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

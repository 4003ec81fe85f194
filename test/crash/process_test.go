// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// readyTimeout is generous, for a machine that does much else.
const readyTimeout = 2 * time.Minute

// process is a program that the test starts, kills and starts again.
type process struct {
	name, path string
	args       []string
	log        string

	mu  sync.Mutex
	cmd *exec.Cmd
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// The kernel ends it with the test, whatever becomes of the test.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return p.cmd.Start()
}

// kill ends the process as a power cut would, and waits until it is gone.
func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	p.cmd = nil
}

func (p *process) dumpLog(t *testing.T) {
	if data, err := os.ReadFile(p.log); err == nil {
		t.Logf("the end of %s's log:\n%s", p.name, data[max(0, len(data)-3000):])
	}
}

// world is an etcd and two API servers on it, each a process.
type world struct {
	etcd    *process
	servers []*process
	// etcdURL is where etcd answers; clients are one for each server.
	etcdURL string
	configs []*rest.Config
	clients []*clientset.Clientset
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	bin := build(t, dir)

	w := &world{}
	client, peer := freePort(t), freePort(t)
	w.etcdURL = fmt.Sprintf("http://127.0.0.1:%d", client)
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peer)
	w.etcd = &process{name: "etcd", path: bin("etcd"), log: filepath.Join(dir, "etcd.log"), args: []string{
		"--data-dir", filepath.Join(dir, "etcd.data"), "--listen-client-urls", w.etcdURL, "--advertise-client-urls", w.etcdURL,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default=" + peerURL, "--log-level", "warn",
	}}
	all := []*process{w.etcd}
	for i := range 2 {
		data := filepath.Join(dir, fmt.Sprintf("server%d", i))
		s := &process{name: fmt.Sprintf("server %d", i), path: bin("epic-apiserver"), log: data + ".log", args: []string{
			"--standalone", "--data-dir", data, "--secure-port", fmt.Sprint(freePort(t)), "--kubeconfig-out", data + ".kubeconfig",
			// History is what the test judges by: none of it may be compacted.
			"--etcd-servers", w.etcdURL, "--etcd-compaction-interval", "0",
		}}
		w.servers = append(w.servers, s)
		all = append(all, s)
	}
	t.Cleanup(func() {
		for _, p := range all {
			p.kill()
			if t.Failed() {
				p.dumpLog(t)
			}
		}
	})
	for _, p := range all {
		if err := p.start(); err != nil {
			t.Fatalf("start %s: %v", p.name, err)
		}
	}
	for i, s := range w.servers {
		cfg := w.config(t, filepath.Join(dir, fmt.Sprintf("server%d.kubeconfig", i)))
		w.configs = append(w.configs, cfg)
		w.clients = append(w.clients, clientset.NewForConfigOrDie(cfg))
		w.waitReady(t, i, s)
	}
	return w
}

// config waits for the file that a server writes at its start.
func (w *world) config(t *testing.T, path string) *rest.Config {
	t.Helper()
	for deadline := time.Now().Add(readyTimeout); ; time.Sleep(100 * time.Millisecond) {
		cfg, err := clientcmd.BuildConfigFromFlags("", path)
		if err == nil {
			cfg.QPS = -1
			cfg.Timeout = 5 * time.Second
			return cfg
		}
		if time.Now().After(deadline) {
			for _, s := range w.servers {
				s.dumpLog(t)
			}
			t.Fatalf("no kubeconfig: %v", err)
		}
	}
}

func (w *world) waitReady(t *testing.T, i int, p *process) {
	t.Helper()
	for deadline := time.Now().Add(readyTimeout); ; time.Sleep(50 * time.Millisecond) {
		_, err := w.clients[i].Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			p.dumpLog(t)
			t.Fatalf("%s is not ready: %v", p.name, err)
		}
	}
}

// build compiles the programs and returns where they are.
func build(t *testing.T, dir string) func(string) string {
	t.Helper()
	for name, pkg := range map[string]string{"epic-apiserver": "../../cmd/apiserver", "etcd": "../tools/etcd"} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), pkg).CombinedOutput()
		if err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return func(name string) string { return filepath.Join(dir, name) }
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

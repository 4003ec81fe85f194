// SPDX-License-Identifier: Apache-2.0

package crash

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	clientset "github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/test/tools/freeport"
	"github.com/acnodal/epic/test/tools/process"
)

// readyTimeout is generous, for a machine that does much else.
const readyTimeout = 2 * time.Minute

// world is an etcd and two API servers on it, each a process.
type world struct {
	etcd    *process.Process
	servers []*process.Process
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
	client, peer := freeport.Get(t), freeport.Get(t)
	w.etcdURL = fmt.Sprintf("http://127.0.0.1:%d", client)
	peerURL := fmt.Sprintf("http://127.0.0.1:%d", peer)
	w.etcd = &process.Process{Name: "etcd", Path: bin("etcd"), Log: filepath.Join(dir, "etcd.log"), Args: []string{
		"--data-dir", filepath.Join(dir, "etcd.data"), "--listen-client-urls", w.etcdURL, "--advertise-client-urls", w.etcdURL,
		"--listen-peer-urls", peerURL, "--initial-advertise-peer-urls", peerURL, "--initial-cluster", "default=" + peerURL, "--log-level", "warn",
	}}
	all := []*process.Process{w.etcd}
	for i := range 2 {
		data := filepath.Join(dir, fmt.Sprintf("server%d", i))
		s := &process.Process{Name: fmt.Sprintf("server %d", i), Path: bin("epic-apiserver"), Log: data + ".log", Args: []string{
			"--standalone", "--data-dir", data, "--secure-port", fmt.Sprint(freeport.Get(t)), "--kubeconfig-out", data + ".kubeconfig",
			// History is what the test judges by: none of it may be compacted.
			"--etcd-servers", w.etcdURL, "--etcd-compaction-interval", "0",
		}}
		w.servers = append(w.servers, s)
		all = append(all, s)
	}
	t.Cleanup(func() {
		for _, p := range all {
			p.Kill()
			if t.Failed() {
				dumpLog(t, p)
			}
		}
	})
	for _, p := range all {
		if err := p.Start(); err != nil {
			t.Fatalf("start %s: %v", p.Name, err)
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
				dumpLog(t, s)
			}
			t.Fatalf("no kubeconfig: %v", err)
		}
	}
}

func (w *world) waitReady(t *testing.T, i int, p *process.Process) {
	t.Helper()
	for deadline := time.Now().Add(readyTimeout); ; time.Sleep(50 * time.Millisecond) {
		_, err := w.clients[i].Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(context.Background())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			dumpLog(t, p)
			t.Fatalf("%s is not ready: %v", p.Name, err)
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

func dumpLog(t *testing.T, p *process.Process) {
	t.Helper()
	t.Logf("the end of %s's log:\n%s", p.Name, p.Tail(3000))
}

// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	system     = "epic-system"
	apiService = "v1.epic.acnodal.io"
	overlay    = "artifacts/install/overlays/three-members"
)

// root is the repository's.
var root = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

// cluster is the one that all tests share.
type cluster struct {
	kubeconfig string
	kubectl    string
	// own says that the tests started it.
	own bool
}

var (
	once sync.Once
	// started is set by TestMain's first test.
	started *cluster
	// missing says why there is no cluster; broken, that it did not come up.
	missing, broken string
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil && started.own && os.Getenv("EPIC_E2E_KEEP") == "" {
		if out, err := script("hack/cluster.sh", "down").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "hack/cluster.sh down: %v\n%s", err, out)
			code = 1
		}
	}
	os.Exit(code)
}

// script is a program of the repository, run at its root.
func script(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(root, name), args...)
	cmd.Dir = root
	return cmd
}

// epic returns a cluster with EPIC installed in it and available.
func epic(t *testing.T) *cluster {
	t.Helper()
	once.Do(start)
	switch {
	case broken != "":
		t.Fatal(broken)
	case missing != "" && os.Getenv("EPIC_NO_SKIP") == "1":
		t.Fatal(missing)
	case missing != "":
		t.Skip(missing)
	}
	return started
}

func start() {
	begin := time.Now()
	step := func(what string) {
		fmt.Fprintf(os.Stderr, "%6.1fs %s\n", time.Since(begin).Seconds(), what)
	}
	c := &cluster{kubeconfig: os.Getenv("KUBECONFIG"), kubectl: os.Getenv("KUBECTL")}
	if c.kubectl == "" {
		c.kubectl = filepath.Join(root, "bin/kubectl")
	}
	if c.kubeconfig == "" {
		if out, err := script("hack/cluster.sh", "check").CombinedOutput(); err != nil {
			missing = string(out)
			return
		}
		c.own = true
		cmd := script("hack/cluster.sh", "up")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		// Whatever came up has to be taken down.
		started = c
		if err != nil {
			broken = fmt.Sprintf("hack/cluster.sh up: %v", err)
			return
		}
		_, rest, _ := strings.Cut(string(out), "KUBECONFIG=")
		c.kubeconfig, _, _ = strings.Cut(rest, " ")
		step("the cluster is up")
	}
	started = c
	if err := c.install(step); err != nil {
		broken = err.Error()
	}
}

// install follows docs/install.md.
func (c *cluster) install(step func(string)) error {
	load := os.Getenv("EPIC_E2E_LOAD")
	if c.own {
		load = filepath.Join(root, "hack/cluster.sh") + " load"
	}
	if load != "" {
		if out, err := script("hack/images.sh").CombinedOutput(); err != nil {
			return fmt.Errorf("hack/images.sh: %w\n%s", err, out)
		}
		step("the images are built")
		words := append(strings.Fields(load), "bin/images/epic-apiserver.tar", "bin/images/epic-etcd.tar")
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", load, err, out)
		}
		step("the images are loaded")
	}
	if out, err := c.try("", "apply", "-k", overlay); err != nil {
		return fmt.Errorf("kubectl apply -k: %w\n%s", err, out)
	}
	if err := c.certificates(); err != nil {
		return err
	}
	for _, wait := range [][]string{
		{"rollout", "status", "--namespace", system, "--timeout=5m", "statefulset/epic-etcd"},
		{"rollout", "status", "--namespace", system, "--timeout=5m", "deployment/epic-apiserver"},
		{"wait", "--for=condition=Available", "--timeout=2m", "apiservice/" + apiService},
	} {
		if out, err := c.try("", wait...); err != nil {
			pods, _ := c.try("", "get", "pods", "--namespace", system, "--output=wide")
			logs, _ := c.try("", "logs", "--namespace", system, "--selector=app.kubernetes.io/part-of=epic", "--prefix", "--tail=20")
			return fmt.Errorf("kubectl %s: %w\n%s\n%s\n%s", strings.Join(wait, " "), err, out, pods, logs)
		}
	}
	step("EPIC is installed and available")
	return nil
}

// certificates makes them, or renews them.
func (c *cluster) certificates() error {
	cmd := script("hack/certs.sh")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "KUBECTL="+c.kubectl)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("hack/certs.sh: %w\n%s", err, out)
	}
	return nil
}

// try runs kubectl at the repository's root, with what stdin holds.
func (c *cluster) try(stdin string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 6*time.Minute)
	defer cancel()
	return c.tryContext(ctx, stdin, args...)
}

func (c *cluster) tryContext(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.kubectl, append([]string{"--kubeconfig", c.kubeconfig}, args...)...)
	cmd.Dir = root
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// run is for what must work.
func (c *cluster) run(t *testing.T, args ...string) string {
	t.Helper()
	return c.with(t, "", args...)
}

// with is run with standard input.
func (c *cluster) with(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := c.try(stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// refused is for what must not work, and says why not.
func (c *cluster) refused(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := c.try(stdin, args...)
	if err == nil {
		t.Errorf("kubectl %s worked and should not have:\n%s", strings.Join(args, " "), out)
	}
	return out
}

// config is for clients; change, if not nil, makes it somebody else's.
func (c *cluster) config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	// The tests want to see each answer, not to be fair.
	config.QPS = -1
	return config
}

func wants(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

// eventually polls until f says nothing any more.
func eventually(t *testing.T, limit time.Duration, f func() string) {
	t.Helper()
	end := time.Now().Add(limit)
	for {
		problem := f()
		if problem == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("After %s: %s", limit, problem)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// audited fails unless objects and claims agree.
func (c *cluster) audited(t *testing.T) {
	t.Helper()
	out := c.run(t, "get", "--raw", "/apis/epic.acnodal.io/v1/namespaces/epic/epics/epic/audit")
	if !strings.Contains(out, `"clean":true`) {
		t.Errorf("Objects and claims differ:\n%s", out)
	}
}

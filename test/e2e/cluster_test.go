// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// root is the root directory of the repository.
var root = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

// cluster is the cluster that all tests share.
type cluster struct {
	kubeconfig string
	kubectl    string
	// own indicates that the tests started it.
	own bool
	// local indicates that it is hack/cluster.sh's, so its processes are on this
	// machine.
	local bool
	// load brings an image's tarball to the nodes; nil if nothing does.
	load []string
	// tokens are those that tests asked for.
	tokens []string
	// leaving are namespaces that are on their way out.
	leaving []string
}

var (
	once sync.Once
	// started is set by TestMain's first test.
	started *cluster
	// missing explains why there is no cluster; broken, that it did not come up.
	missing, broken string
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil && broken == "" {
		if err := started.cleared(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if started != nil && started.own && os.Getenv("EPIC_E2E_KEEP") == "" {
		if out, err := script("hack/cluster.sh", "down").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "hack/cluster.sh down: %v\n%s", err, out)
			code = 1
		}
	}
	os.Exit(code)
}

// progress prints a line that hack/testreport forwards immediately.
func progress(format string, args ...any) {
	fmt.Printf("progress: "+format+"\n", args...)
}

// script runs a program of the repository in its root directory.
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
		progress("%6.1fs %s", time.Since(begin).Seconds(), what)
	}
	c := &cluster{kubeconfig: os.Getenv("KUBECONFIG"), kubectl: os.Getenv("KUBECTL"), load: strings.Fields(os.Getenv("EPIC_E2E_LOAD"))}
	if c.kubectl == "" {
		c.kubectl = filepath.Join(root, "bin/kubectl")
	}
	out, err := script("hack/cluster.sh", "kubeconfig").Output()
	if err != nil {
		broken = fmt.Sprintf("hack/cluster.sh kubeconfig: %v", err)
		return
	}
	local := strings.TrimSpace(string(out))
	if c.kubeconfig == "" {
		if out, err := script("hack/cluster.sh", "check").CombinedOutput(); err != nil {
			missing = string(out)
			return
		}
		c.kubeconfig = local
		started = c
		if err := c.up(os.Environ()); err != nil {
			broken = err.Error()
			return
		}
		step("the cluster is up")
	}
	if c.local = c.kubeconfig == local; c.local {
		c.load = []string{filepath.Join(root, "hack/cluster.sh"), "load"}
	}
	started = c
	if err := c.mayLoseData(); err != nil {
		broken = err.Error()
		return
	}
	if err := c.install(step); err != nil {
		broken = err.Error()
	}
}

// thereAlready is the exit status of hack/cluster.sh when a cluster already exists.
const thereAlready = 3

// up starts a cluster unless one exists. The tests never stop an existing cluster.
func (c *cluster) up(env []string) error {
	cmd := script("hack/cluster.sh", "up")
	var said bytes.Buffer
	cmd.Env, cmd.Stderr = env, io.MultiWriter(os.Stderr, &said)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == thereAlready {
		return fmt.Errorf("%s\nWith that KUBECONFIG the tests use it: they lose all of EPIC's data in it", said.String())
	}
	// Whatever came up has to be taken down.
	c.own = true
	if err != nil {
		return fmt.Errorf("hack/cluster.sh up: %w", err)
	}
	return nil
}

// mayLoseData rejects a cluster that is in use: the tests restore a backup
// and uninstall EPIC.
func (c *cluster) mayLoseData() error {
	accounts, err := c.try("", "get", "accounts.epic.acnodal.io", "-A", "-o", "name")
	if err == nil && strings.TrimSpace(accounts) != "" && os.Getenv("EPIC_E2E_DATA_LOSS") != "1" {
		return fmt.Errorf("the tests lose all of EPIC's data, and this cluster has accounts:\n%s\nset EPIC_E2E_DATA_LOSS=1 if they may go, or unset KUBECONFIG to test in a cluster that is made for it", accounts)
	}
	return nil
}

// install follows the steps in docs/install.md.
func (c *cluster) install(step func(string)) error {
	_, err := c.try("", "get", "deployment", "--namespace", system, "epic-apiserver")
	again := err == nil
	if c.load != nil {
		if err := c.images("dev"); err != nil {
			return err
		}
		step("the images are built and loaded")
	}
	if err := c.documented("Install"); err != nil {
		pods, _ := c.try("", "get", "pods", "--namespace", system, "--output=wide")
		logs, _ := c.try("", "logs", "--namespace", system, "--selector=app.kubernetes.io/part-of=epic", "--prefix", "--tail=20")
		return fmt.Errorf("%w\n%s\n%s", err, pods, logs)
	}
	if again && c.load != nil {
		// The image's name is the same as before, so nothing else starts the new one.
		for _, what := range []string{"restart", "status"} {
			if out, err := c.try("", "rollout", what, "--namespace", system, "deployment/epic-apiserver"); err != nil {
				return fmt.Errorf("kubectl rollout %s: %w\n%s", what, err, out)
			}
		}
	}
	step("EPIC is installed and available")
	return nil
}

// images builds all images under a tag and loads them onto the nodes.
func (c *cluster) images(tag string) error {
	// Apart from each other, what did not change is not built again.
	out := filepath.Join(root, "bin", "images-"+tag)
	build := script("hack/images.sh")
	build.Env = append(os.Environ(), "TAG="+tag, "OUT="+out)
	if text, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("hack/images.sh: %w\n%s", err, text)
	}
	tars, err := filepath.Glob(filepath.Join(out, "*.tar"))
	if err != nil {
		return err
	}
	for _, tar := range tars {
		cmd := exec.Command(c.load[0], append(c.load[1:len(c.load):len(c.load)], tar)...)
		cmd.Dir = root
		if text, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd, err, text)
		}
	}
	return nil
}

// documented runs the commands under a heading of docs/install.md exactly as written.
func (c *cluster) documented(heading string, env ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(root, "hack/install.sh"), heading)
	cmd.Env = append(append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "KUBECTL="+c.kubectl), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("docs/install.md, %s: %w\n%s", heading, err, out)
	}
	return nil
}

// certificates creates or renews the certificates.
func (c *cluster) certificates() error {
	cmd := script("hack/certs.sh")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "KUBECTL="+c.kubectl)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("hack/certs.sh: %w\n%s", err, out)
	}
	return nil
}

// try runs kubectl in the repository's root directory with the given standard input.
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

// onThisMachine skips a test that needs access to the cluster's processes.
func (c *cluster) onThisMachine(t *testing.T) {
	t.Helper()
	if !c.local {
		t.Skip("the cluster's processes are not on this machine")
	}
}

// aside moves a file of the developer's out of the way until the test ends, and
// then removes what the test put there.
func aside(t *testing.T, path string) string {
	t.Helper()
	path = filepath.Join(root, path)
	// Patterns of the shell don't match it.
	kept := filepath.Join(filepath.Dir(path), fmt.Sprintf(".kept-%d-%s", os.Getpid(), filepath.Base(path)))
	err := os.Rename(path, kept)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	there := err == nil
	t.Cleanup(func() {
		if err := os.RemoveAll(path); err != nil {
			t.Error(err)
		}
		if there {
			if err := os.Rename(kept, path); err != nil {
				t.Error(err)
			}
		}
	})
	return path
}

// run runs a command that must succeed.
func (c *cluster) run(t *testing.T, args ...string) string {
	t.Helper()
	return c.with(t, "", args...)
}

// with is like run, with standard input.
func (c *cluster) with(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := c.try(stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// refused runs a command that must fail and returns the reason.
func (c *cluster) refused(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := c.try(stdin, args...)
	if err == nil {
		t.Errorf("kubectl %s worked and should not have:\n%s", strings.Join(args, " "), out)
	}
	return out
}

// config returns the configuration of a client of the cluster, without a rate limit.
func (c *cluster) config(t *testing.T) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	// A rate limit would delay the tests.
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

// eventually polls until f returns nothing.
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

// served waits until kube-apiserver passes requests on to EPIC and kubectl finds
// EPIC's kinds: the list of kinds follows the condition by up to some seconds.
func (c *cluster) served(t *testing.T) {
	t.Helper()
	c.run(t, "wait", "--for=condition=Available", "--timeout=1m", "apiservice/"+apiService)
	eventually(t, 30*time.Second, func() string {
		if out, err := c.try("", "get", "epics.epic.acnodal.io", "--all-namespaces"); err != nil {
			return out
		}
		return ""
	})
}

// audited fails the test unless objects and claims agree.
func (c *cluster) audited(t *testing.T) {
	t.Helper()
	out := c.run(t, "get", "--raw", "/apis/epic.acnodal.io/v1/namespaces/epic/epics/epic/audit")
	if !strings.Contains(out, `"clean":true`) {
		t.Errorf("Objects and claims differ:\n%s", out)
	}
}

// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/acnodal/epic/test/tools/kubectltool"
	"github.com/acnodal/epic/test/tools/process"
)

// patience is how long anything may take on a machine that does much else.
const patience = 3 * time.Minute

// made is the directory of the workspace, once there is one.
var made string

// workspace is a directory that looks like the root of the repository after "make
// build", with the programs of this source.
var workspace = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "epic-docs-")
	if err != nil {
		return "", err
	}
	made = dir
	from, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	for _, name := range []string{"artifacts", "docs", "hack", "Makefile"} {
		if err := os.Symlink(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			return "", err
		}
	}
	programs := map[string]string{"epic-apiserver": "apiserver", "epic-controller": "controller", "epicctl": "epicctl"}
	if runtime.GOOS == "linux" {
		programs["epic-node"], programs["epic-operator"], programs["epic-proxy"] = "node", "operator", "proxy"
	}
	bin := filepath.Join(dir, "bin")
	for name, folder := range programs {
		if err := build(from, filepath.Join(bin, name), "./cmd/"+folder); err != nil {
			return "", err
		}
	}
	if runtime.GOOS == "linux" {
		if err := build(from, filepath.Join(bin, "epic-world"), "./test/world/epic-world"); err != nil {
			return "", err
		}
	}
	return dir, os.Symlink("epicctl", filepath.Join(bin, "kubectl-epic"))
})

func build(from, program, folder string) error {
	cmd := exec.Command("go", "build", "-o", program, folder)
	cmd.Dir = from
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", folder, err, out)
	}
	return nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if made != "" {
		_ = os.RemoveAll(made)
	}
	os.Exit(code)
}

// root privileges make the world.
func isRoot() bool { return runtime.GOOS == "linux" && os.Geteuid() == 0 }

// environment is what "make run" serves.
type environment struct {
	workspace, dir string
	port           int
	cmd            *exec.Cmd
	output         *process.Output
	ended          chan struct{}
}

// built returns the workspace, with kubectl in it.
func built(t *testing.T) string {
	t.Helper()
	dir, err := workspace()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kubectltool.Path(t), filepath.Join(dir, "bin", "kubectl")); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	return dir
}

// newEnvironment returns one that does not run yet.
func newEnvironment(t *testing.T) *environment {
	t.Helper()
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	e := &environment{workspace: built(t), port: port}
	dir, err := os.MkdirTemp("", "epic-run-") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	e.dir = dir
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return e
}

// env is the environment of commands: what "make run" tells its user to set.
func (e *environment) env() []string {
	return append(os.Environ(),
		"EPIC_RUN_DIR="+e.dir, "EPIC_PORT="+strconv.Itoa(e.port), "KUBECONFIG="+filepath.Join(e.dir, "kubeconfig"),
		"PATH="+filepath.Join(e.workspace, "bin")+":"+os.Getenv("PATH"))
}

// start does what "make run" does after it has built, and waits until all is there.
func (e *environment) start(t *testing.T) {
	t.Helper()
	e.output, e.ended = &process.Output{}, make(chan struct{})
	e.cmd = exec.Command(filepath.Join(e.workspace, "hack", "run.sh"))
	e.cmd.Env, e.cmd.Stdout, e.cmd.Stderr = e.env(), e.output, e.output
	e.cmd.WaitDelay = time.Minute
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = e.cmd.Wait()
		close(e.ended)
	}()
	t.Cleanup(func() { e.stop(t, syscall.SIGTERM) })
	last := `Run it as root, "sudo make run"`
	if isRoot() {
		last = "Everything is ready now."
	}
	for deadline := time.Now().Add(patience); !strings.Contains(e.output.String(), last); time.Sleep(50 * time.Millisecond) {
		select {
		case <-e.ended:
			t.Fatalf("It has ended:\n%s", e.output)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("It does not say %q:\n%s", last, e.output)
		}
	}
}

// stop ends it with a signal, and waits until everything that it started is gone.
func (e *environment) stop(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := e.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	select {
	case <-e.ended:
	case <-time.After(patience):
		t.Errorf("It does not end:\n%s", e.output)
		_ = e.cmd.Process.Kill()
		<-e.ended
	}
}

// sh runs commands as somebody would who types them, in the root of the repository.
func (e *environment) sh(ctx context.Context, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir, cmd.Env = e.workspace, e.env()
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

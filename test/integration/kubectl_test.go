// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/acnodal/epic/test/tools/kubectltool"
)

// kubectl runs the real kubectl against one server.
type kubectl struct {
	path, kubeconfig string
}

// newKubectl finds or builds kubectl.
func newKubectl(t *testing.T, kubeconfig string) kubectl {
	t.Helper()
	return kubectl{path: kubectltool.Path(t), kubeconfig: kubeconfig}
}

// try runs kubectl with what stdin holds, and returns what it printed.
func (k kubectl) try(stdin string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.Command(k.path, append([]string{"--kubeconfig", k.kubeconfig, "--cache-dir", k.kubeconfig + ".cache"}, args...)...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &problems
	// kubectl diff runs diff; nothing else of the environment matters.
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(k.kubeconfig)}
	err = cmd.Run()
	return out.String(), problems.String(), err
}

// run is for what must work.
func (k kubectl) run(t *testing.T, args ...string) string {
	t.Helper()
	return k.apply(t, "", args...)
}

// apply is run with standard input.
func (k kubectl) apply(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, problems, err := k.try(stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, out, problems)
	}
	return out
}

// refused runs a command that must fail and returns kubectl's output.
func (k kubectl) refused(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, problems, err := k.try(stdin, args...)
	if err == nil {
		t.Fatalf("kubectl %s worked and should not have:\n%s", strings.Join(args, " "), out)
	}
	return problems
}

func wants(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

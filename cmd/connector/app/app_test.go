// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/cli/clitest"
)

// programEnv makes this test binary be the program: its logs are set up once.
const programEnv = "EPIC_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// called runs the program to its end.
func called(t *testing.T, args ...string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), programEnv+"=1", "KUBECONFIG=", "HOME=/nonexistent")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// kubeconfig writes one for a server that nobody reaches.
func kubeconfig(t *testing.T, namespace, extra string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	content := `{"apiVersion": "v1", "kind": "Config", "current-context": "c",
"contexts": [{"name": "c", "context": {"cluster": "s", "namespace": "` + namespace + `"}}],
"clusters": [{"name": "s", "cluster": {"server": "https://127.0.0.1:1"` + extra + `}}]}`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Every flag that can't work is named in one line that describes what to give instead.
func TestRefusals(t *testing.T) {
	account, other := kubeconfig(t, "epic-acme", ""), kubeconfig(t, "default", "")
	insecure := kubeconfig(t, "epic-acme", `, "insecure-skip-tls-verify": true`)
	good := []string{"--kubeconfig=" + other, "--epic-kubeconfig=" + account, "--cluster=paris"}
	with := func(args ...string) []string { return append(good[:len(good):len(good)], args...) }
	// Of several kubeconfigs for EPIC, one is enough.
	alone := func(epic string) []string { return []string{good[0], "--epic-kubeconfig=" + epic, good[2]} }
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "--epic-kubeconfig is not set"},
		{[]string{"--epic-kubeconfig=" + account}, "--cluster is not set"},
		{with("--cluster=Paris"), `--cluster is "Paris": set a name of at most 63 lowercase letters`},
		{with("--cluster=" + strings.Repeat("a", 64)), "at most 63 lowercase"},
		{with("--former-clusters=rome,"), "none of them empty"},
		{with("--workers=0"), "--workers is 0: set at least 1"},
		{with("--workers=many"), "invalid argument"},
		{with("--retry-refused=0s"), "--retry-refused is 0s"},
		{with("--rewrite-secrets=-1s"), "--rewrite-secrets is -1s"},
		{with("--kube-api-burst=0"), "allow no request"},
		{with("--leader-elect-renew-deadline=20s"), "are inconsistent"},
		{with("--no-such-flag"), "lists the flags"},
		{with("serve"), "is not a command"},
		{with("--logging-format=xml"), "--logging-format"},
		{with("--kubeconfig=/nonexistent/file"), "configure access to this cluster"},
		{alone("/nonexistent/file"), "configure access to EPIC"},
		{alone(insecure), "remove insecure-skip-tls-verify"},
		{alone(other), `the namespace "default" is not an account's: set --epic-namespace=epic-ACCOUNT`},
		{with("--epic-namespace=default"), "is not an account's"},
		{with("--epic-kubeconfig=/nonexistent/file"), "reach this cluster"},
		{good, "reach this cluster"},
	} {
		code, out := called(t, test.args...)
		if code != 1 || !strings.Contains(out, test.want) {
			t.Errorf("%v: code %d, %q, want %q", test.args, code, out, test.want)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	clitest.CheckHelp(t, newCommand())
	if code, out := called(t, "version"); code != 0 || !strings.HasPrefix(out, "epic-connector ") {
		t.Errorf("code %d, %q", code, out)
	}
}

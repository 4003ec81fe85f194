// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/acnodal/epic/pkg/cli/clitest"
	"github.com/acnodal/epic/pkg/pki/pkitest"
)

// programEnv makes this test binary be the program, so tests see exit
// codes, signals and what is printed.
const programEnv = "EPIC_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programEnv) != "" {
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func command(ctx context.Context, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	cmd = exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), programEnv+"=1")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// run runs the program to its end.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd, out, errs := command(ctx, args...)
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "app-") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// serving starts a standalone server as a process and waits until it is ready.
func serving(t *testing.T, dir string, flags ...string) (cmd *exec.Cmd, stderr *bytes.Buffer, url string) {
	t.Helper()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	args := append([]string{"--standalone", "--data-dir=" + filepath.Join(dir, "data"), "--secure-port=0", "--kubeconfig-out=" + kubeconfig}, flags...)
	cmd, _, stderr = command(t.Context(), args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if config, err := clientcmd.BuildConfigFromFlags("", kubeconfig); err == nil && ready(config) {
			return cmd, stderr, config.Host
		}
		if time.Now().After(deadline) {
			t.Fatalf("The server does not get ready: %s", stderr)
		}
	}
}

func ready(config *rest.Config) bool {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return false
	}
	defer utilnet.CloseIdleConnectionsFor(client.Transport)
	response, err := client.Get(config.Host + "/readyz")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// certificate writes a certificate of its own signature that ends when it is
// told to, with its key.
func certificate(t *testing.T, dir, name string, end time.Time) (certFile, keyFile string) {
	t.Helper()
	cert, key, err := pkitest.SelfSigned(&x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: end.Add(-time.Hour), NotAfter: end}, nil)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	for file, data := range map[string][]byte{certFile: cert, keyFile: key} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// Every error at startup is one message that names the flag and the fix.
func TestStartErrors(t *testing.T) {
	dir := tempDir(t)
	data := filepath.Join(dir, "d")
	end := time.Now().Add(-time.Hour)
	expiredCert, expiredKey := certificate(t, dir, "expired", end)
	goodCert, goodKey := certificate(t, dir, "good", time.Now().Add(time.Hour))
	otherCert, _ := certificate(t, dir, "other", time.Now().Add(time.Hour))
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, takenPort, _ := net.SplitHostPort(taken.Addr().String())
	held := tempDir(t)
	serving(t, held)

	when := end.UTC().Format("2006-01-02")
	alone := func(flags ...string) []string {
		return append([]string{"--standalone", "--data-dir=" + data, "--secure-port=0"}, flags...)
	}
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"no flags":               {nil, []string{"--etcd-servers", "--data-dir", "--tls-cert-file", "--standalone"}},
		"bad flag":               {[]string{"--nothing"}, []string{"--nothing", "--help"}},
		"bad value":              {alone("--secure-port=many"), []string{"--secure-port", "many"}},
		"bad command":            {[]string{"server"}, []string{`"server"`, "--help"}},
		"bad log format":         {alone("--logging-format=xml"), []string{"--logging-format", "xml"}},
		"port in use":            {[]string{"--standalone", "--data-dir=" + data, "--secure-port=" + takenPort}, []string{"--secure-port", takenPort, "another process"}},
		"address of another":     {alone("--bind-address=192.0.2.1"), []string{"--bind-address", "192.0.2.1"}},
		"directory in use":       {[]string{"--standalone", "--data-dir=" + filepath.Join(held, "data"), "--secure-port=0"}, []string{"--data-dir", "in use", "pid"}},
		"directory unwritable":   {[]string{"--standalone", "--data-dir=/proc/self/d", "--secure-port=0"}, []string{"--data-dir", "/proc/self/d"}},
		"directory name long":    {[]string{"--standalone", "--data-dir=" + filepath.Join(dir, strings.Repeat("x", 100)), "--secure-port=0"}, []string{"--data-dir", "too long"}},
		"no etcd":                {alone("--etcd-servers=http://127.0.0.1:1", "--etcd-start-timeout=1s"), []string{"--etcd-servers", "http://127.0.0.1:1", "1s", "refused"}},
		"expired serving cert":   {[]string{"--data-dir=" + data, "--tls-cert-file=" + expiredCert, "--tls-private-key-file=" + expiredKey}, []string{"--tls-cert-file", expiredCert, "expired on " + when}},
		"expired SNI cert":       {alone("--tls-sni-cert-key=" + expiredCert + "," + expiredKey), []string{"--tls-sni-cert-key", expiredCert, "expired on " + when}},
		"expired etcd cert":      {alone("--etcd-servers=https://127.0.0.1:1", "--etcd-certfile="+expiredCert, "--etcd-keyfile="+expiredKey), []string{"--etcd-certfile", expiredCert, "expired on " + when}},
		"expired etcd authority": {alone("--etcd-servers=https://127.0.0.1:1", "--etcd-cafile="+expiredCert), []string{"--etcd-cafile", expiredCert, "expired on " + when}},
		"key of another cert":    {alone("--etcd-servers=https://127.0.0.1:1", "--etcd-certfile="+otherCert, "--etcd-keyfile="+goodKey), []string{"--etcd-certfile", "--etcd-keyfile"}},
		"missing serving cert":   {[]string{"--data-dir=" + data, "--tls-cert-file=/none", "--tls-private-key-file=/none"}, []string{"--tls-cert-file", "/none"}},
		"no kube-apiserver":      {[]string{"--data-dir=" + data, "--secure-port=0", "--tls-cert-file=" + goodCert, "--tls-private-key-file=" + goodKey}, []string{"--kubeconfig", "--standalone"}},
		"no kubeconfig file":     {[]string{"--data-dir=" + data, "--secure-port=0", "--tls-cert-file=" + goodCert, "--tls-private-key-file=" + goodKey, "--kubeconfig=/none"}, []string{"--kubeconfig", "/none"}},
		"snapshot of nothing":    {[]string{"snapshot", filepath.Join(dir, "s")}, []string{"--etcd-servers", "--data-dir"}},
		"snapshot without file":  {[]string{"snapshot", "--data-dir=" + data}, []string{"file", "--help"}},
		"snapshot of no etcd":    {[]string{"snapshot", filepath.Join(dir, "s"), "--etcd-servers=http://127.0.0.1:1", "--timeout=2s"}, []string{"http://127.0.0.1:1"}},
		"backup of nothing":      {[]string{"backup", "--backup-dir=" + filepath.Join(dir, "b")}, []string{"--etcd-servers", "--data-dir"}},
		"backup to nowhere":      {[]string{"backup", "--etcd-servers=http://127.0.0.1:1"}, []string{"--backup-dir"}},
		"backup of no etcd":      {[]string{"backup", "--backup-dir=" + filepath.Join(dir, "b"), "--etcd-servers=http://127.0.0.1:1", "--timeout=2s"}, []string{"http://127.0.0.1:1", "existing ones stay"}},
		"backup of keep none":    {[]string{"backup", "--backup-dir=" + filepath.Join(dir, "b"), "--etcd-servers=http://127.0.0.1:1", "--backup-keep=0"}, []string{"--backup-keep"}},
		"print of nothing":       {[]string{"backup", "print", "--backup-dir=" + filepath.Join(dir, "b")}, []string{filepath.Join(dir, "b"), "no snapshot"}},
		"too many requests":      {alone("--backup-dir="+filepath.Join(dir, "b"), "--backup-interval=1s"), []string{"--backup-interval", "1m0s"}},
		"restore half a member":  {[]string{"restore", filepath.Join(dir, "s"), "--data-dir=" + data, "--name=a"}, []string{"--initial-cluster"}},
		"restore of nothing":     {[]string{"restore", filepath.Join(dir, "s"), "--data-dir=" + filepath.Join(dir, "r")}, []string{filepath.Join(dir, "s")}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(t, test.args...)
			if code != 1 {
				t.Errorf("The exit code is %d, want 1", code)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("The message does not have %q", want)
				}
			}
			if strings.Contains(stderr, "goroutine ") || strings.Contains(stderr+stdout, "Usage:") || strings.Count(stderr, "\n") > 4 || stdout != "" {
				t.Error("More than a message is printed")
			}
			if t.Failed() {
				t.Logf("stdout: %s\nstderr: %s", stdout, stderr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	code, help, stderr := run(t, "--help")
	if code != 0 || stderr != "" {
		t.Fatalf("--help: %d, %s", code, stderr)
	}
	for _, group := range []string{
		"Standalone mode:", "Embedded etcd:", "Scheduled snapshots:", "Storage:", "Serving:", "Kube-apiserver:", "Authentication:", "Authorization:",
		"Admission:", "Nodes and tunnels:", "Requests and shutdown:", "Versions and features:", "Audit:", "Tracing:", "Logs:", "Other:", "Commands:",
	} {
		if !strings.Contains(help, "\n"+group+"\n") {
			t.Errorf("The group %q is missing", group)
		}
	}
	// A flag, its value, its text: all on one line, and the line not too long. A long text
	// stands in lines of its own, below the flag.
	flag := regexp.MustCompile(`^  (-v|-h, --help|--[a-z0-9-]+)( [A-Z0-9_.,:=\[\]-]+)?(  +\S|$)|^ {8}\S`)
	_, body, _ := strings.Cut(help, "\nStandalone mode:\n")
	for _, line := range strings.Split(body, "\n") {
		if line == "" || strings.HasSuffix(line, ":") && !strings.HasPrefix(line, " ") {
			continue
		}
		if !flag.MatchString(line) || len(line) > 160 {
			t.Errorf("This is no line about one flag: %q", line)
		}
	}
	root, err := newRootCommand()
	if err != nil {
		t.Fatal(err)
	}
	clitest.CheckHelp(t, root)
}

func TestVersion(t *testing.T) {
	code, stdout, _ := run(t, "version")
	if code != 0 || !strings.HasPrefix(stdout, "epic-apiserver ") || !strings.Contains(stdout, "etcd 3.") {
		t.Errorf("version: %d, %q", code, stdout)
	}
}

// A server that is asked to stop says so and exits with 0; while all was well
// it had nothing to complain about.
func TestSignals(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			cmd, stderr, _ := serving(t, tempDir(t))
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("The server ended with %v", err)
			}
			for _, line := range strings.Split(stderr.String(), "\n") {
				if strings.HasPrefix(line, "E") || strings.HasPrefix(line, "W") {
					t.Errorf("All was well, but the log has %q", line)
				}
			}
			if !strings.Contains(stderr.String(), "Stopped") {
				t.Errorf("The log does not end with a word about it: %s", stderr)
			}
		})
	}
}

func TestJSONLogs(t *testing.T) {
	cmd, stderr, _ := serving(t, tempDir(t), "--logging-format=json", "-v=4")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	etcd := false
	for _, line := range strings.Split(strings.TrimSpace(stderr.String()), "\n") {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("A line is not JSON: %q", line)
		}
		etcd = etcd || strings.Contains(line, `"logger":"etcd"`)
	}
	if !etcd {
		t.Error("etcd's lines are not in the log")
	}
}

// Snapshot and restore as an operator does it, from a server that runs.
func TestSnapshotAndRestore(t *testing.T) {
	dir := tempDir(t)
	cmd, _, _ := serving(t, dir)
	file := filepath.Join(dir, "snapshot")
	code, stdout, stderr := run(t, "snapshot", file, "--data-dir="+filepath.Join(dir, "data"))
	if code != 0 {
		t.Fatalf("snapshot: %d, %s", code, stderr)
	}
	for _, want := range []string{"revision", "size", "sha256", file} {
		if !strings.Contains(stdout, want) {
			t.Errorf("It does not say %q: %s", want, stdout)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := run(t, "restore", file, "--data-dir="+filepath.Join(dir, "data")); code != 1 || !strings.Contains(stderr, "not empty") {
		t.Errorf("restore over data: %d, %s", code, stderr)
	}
	again := tempDir(t)
	if code, _, stderr := run(t, "restore", file, "--data-dir="+filepath.Join(again, "data")); code != 0 {
		t.Fatalf("restore: %d, %s", code, stderr)
	}
	serving(t, again)
}

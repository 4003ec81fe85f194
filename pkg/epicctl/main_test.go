// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"bytes"
	"context"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/acnodal/epic/pkg/cli/clitest"
)

// runMain runs the program with nothing of a test's put in.
func runMain(t *testing.T, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	code := Main(t.Context(), args, genericclioptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut})
	return result{code, out.String(), errOut.String()}
}

func TestUsage(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"epicctl"}, ExitOK, "Available Commands"},
		{[]string{"epicctl", "version"}, ExitOK, "API epic.acnodal.io/v1"},
		{[]string{"epicctl", "version", "x"}, ExitUsage, "takes no argument"},
		{[]string{"epicctl", "acount"}, ExitUsage, `unknown command "acount"; "epicctl --help"`},
		{[]string{"epicctl", "create"}, ExitUsage, "it accepts account, group, kubeconfig or prefix"},
		{[]string{"epicctl", "get", "nothing"}, ExitUsage, `does not support "nothing": it takes accounts`},
		{[]string{"epicctl", "audit", "--what"}, ExitUsage, `unknown flag: --what; "epicctl audit --help" lists the flags`},
		{[]string{"/usr/bin/kubectl-epic", "get", "nothing"}, ExitUsage, `"kubectl epic get" does not support`},
		{[]string{"kubectl-epic.exe", "--help"}, ExitOK, "kubectl epic [command]"},
		{[]string{"kubectl_complete-epic", "create", ""}, ExitOK, "kubeconfig Create a kubeconfig"},
		{[]string{"epicctl", "completion", "bash"}, ExitOK, "__start_epicctl"},
		{[]string{"epicctl", "get", "accounts", "--server=", "--context=nowhere"}, ExitFailure, "nowhere"},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			runMain(t, test.args...).want(t, test.code, test.want)
		})
	}
}

func TestHelp(t *testing.T) {
	clitest.CheckHelp(t, NewCommand(genericclioptions.NewTestIOStreamsDiscard()))
}

func TestUnreachable(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("HOME", t.TempDir())
	// A port that nobody listens on anymore.
	gone := httptest.NewServer(http.NotFoundHandler())
	address := gone.URL
	gone.Close()
	for _, args := range [][]string{
		{"get", "accounts"}, {"create", "account", "a"}, {"delete", "account", "a"}, {"describe", "account", "a"}, {"audit"}, {"status"},
		{"create", "kubeconfig", "a", "--service-account", "b"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			runMain(t, append([]string{"epicctl", "--server", address}, args...)...).want(t, ExitFailure, "can't reach the server", "--context", "connection refused")
		})
	}
	t.Run("it does not answer", func(t *testing.T) {
		stop := make(chan struct{})
		silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
		t.Cleanup(silent.Close)
		t.Cleanup(func() { close(stop) })
		runMain(t, "epicctl", "--server", silent.URL, "--request-timeout", "200ms", "get", "accounts").want(t, ExitFailure, "can't reach the server")
	})
	t.Run("it is interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var out, errOut bytes.Buffer
		code := Main(ctx, []string{"epicctl", "--server", address, "get", "accounts"}, genericclioptions.IOStreams{Out: &out, ErrOut: &errOut})
		result{code, out.String(), errOut.String()}.want(t, ExitFailure, "interrupted")
	})
	t.Run("no kubeconfig", func(t *testing.T) {
		runMain(t, "epicctl", "get", "accounts").want(t, ExitFailure, "--kubeconfig", "KUBECONFIG")
	})
}

// Other servers than EPIC's, and credentials that are none.
func TestWrongServer(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	answer := func(code int, body string) *httptest.Server {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server
	}
	ask := func(server *httptest.Server) result {
		return runMain(t, "epicctl", "--server", server.URL, "--insecure-skip-tls-verify", "get", "accounts")
	}
	ask(answer(404, "404 page not found")).want(t, ExitFailure, "does not serve epic.acnodal.io/v1: install EPIC there")
	ask(answer(401, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401}`)).want(t, ExitFailure, "does not know who you are", "get new ones")
	ask(answer(503, "service unavailable")).want(t, ExitFailure, "does not respond", "epicctl status")
	ask(answer(502, "bad gateway")).want(t, ExitFailure, "does not forward requests")
	runMain(t, "epicctl", "--server", answer(200, "{}").URL, "get", "accounts").want(t, ExitFailure, "signed by an authority that your kubeconfig does not contain")
}

// A user of the server who has no rights at all is told the missing ones.
func TestWithoutRights(t *testing.T) {
	i := install(t)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	for _, test := range []struct {
		args  []string
		wants []string
	}{
		{[]string{"get", "accounts"}, []string{"you may not list accounts.epic.acnodal.io", "epic-platform-admin"}},
		{[]string{"get", "accounts", "-n", "epic-acme"}, []string{"you may not list accounts.epic.acnodal.io in namespace epic-acme", "epic-tenant-viewer"}},
		{[]string{"describe", "account", "acme"}, []string{"you may not get accounts.epic.acnodal.io in namespace epic-acme", "epic-tenant-viewer"}},
		{[]string{"audit"}, []string{"you may not get epics/audit.epic.acnodal.io in namespace epic", "epic-auditor"}},
		{[]string{"create", "account", "x"}, []string{"you may not get /api/v1", "system:discovery"}},
	} {
		i.run(t, append(test.args, "--as", "jane")...).want(t, ExitFailure, test.wants...)
	}
	i.beside()
	i.run(t, "create", "account", "x", "--as", "jane").want(t, ExitFailure, "you may not get accounts.epic.acnodal.io in namespace epic-x", "before that: namespace/epic-x created")
	i.run(t, "delete", "account", "acme", "--as", "jane").want(t, ExitFailure, "you may not list gwroutes.epic.acnodal.io in namespace epic-acme")
	i.run(t, "create", "kubeconfig", "acme", "--service-account", "x", "--as", "jane").want(t, ExitFailure, "you may not get accounts.epic.acnodal.io in namespace epic-acme")
}

func TestCompletion(t *testing.T) {
	i := install(t)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.run(t, "create", "account", "beta").want(t, ExitOK)
	r := i.run(t, "__complete", "get", "accounts", "acme", "")
	r.want(t, ExitOK, "beta", ":4")
	r.lacks(t, "acme")
	i.run(t, "__complete", "describe", "account", "").want(t, ExitOK, "acme beta :4")
	i.run(t, "__complete", "describe", "account", "acme", "").lacks(t, "beta")
	i.run(t, "__complete", "get", "accounts", "-n", "epic-").want(t, ExitOK, "epic-acme epic-beta")
	i.run(t, "__complete", "get", "accounts", "-o", "").want(t, ExitOK, "wide", "jsonpath", "name")
	i.run(t, "__complete", "create", "account", "x", "--dry-run", "").lacks(t, "Error")
	i.run(t, "__complete", "get", "--context", "").want(t, ExitOK, "epic :4")
	i.run(t, "__complete", "get", "accounts", "--server", "https://127.0.0.1:1", "").lacks(t, "acme")
}

// A certificate authority that is a file is copied: its path means nothing
// elsewhere.
func TestClusterOfReadsTheAuthority(t *testing.T) {
	dir := t.TempDir()
	pem := []byte("-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString([]byte("x")) + "\n-----END CERTIFICATE-----\n")
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), pem, 0o600); err != nil {
		t.Fatal(err)
	}
	raw := clientcmdapi.NewConfig()
	raw.Clusters["c"] = &clientcmdapi.Cluster{Server: "https://u:p@example.com:6443/prefix", CertificateAuthority: filepath.Join(dir, "ca.crt"), TLSServerName: "other"}
	raw.Contexts["c"] = &clientcmdapi.Context{Cluster: "c"}
	raw.CurrentContext = "c"
	config, err := clientcmd.NewDefaultClientConfig(*raw, nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := clusterOf(config)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(cluster.CertificateAuthorityData, pem) || cluster.CertificateAuthority != "" || cluster.TLSServerName != "other" {
		t.Errorf("The cluster is %+v", cluster)
	}
	if cluster.Server != "https://example.com:6443/prefix" {
		t.Errorf("The server is %s", cluster.Server)
	}
}

// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"
)

// browser asks a dashboard for pages.
type browser struct {
	http.Client
	base string
}

// dashboard runs the command until the test ends, and returns a browser that is let in.
func (i *installation) dashboard(t *testing.T, o *dashboardCommand, flags ...string) *browser {
	t.Helper()
	var out bytes.Buffer
	o.tool = newTool(genericclioptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out})
	*o.flags.KubeConfig = i.Kubeconfig
	for _, flag := range flags {
		*o.flags.Impersonate = flag
	}
	t.Cleanup(func() { closeIdle(o.tool) })
	ctx, cancel := context.WithCancel(t.Context())
	url, done := make(chan string, 1), make(chan error, 1)
	o.listening = func(at string) { url <- at }
	go func() { done <- o.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{Client: http.Client{Jar: jar, Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}}
	select {
	case at := <-url:
		b.base, _, _ = strings.Cut(at, "?")
		b.get(t, at)
	case err := <-done:
		done <- nil
		t.Fatal(err, out.String())
	}
	return b
}

func (b *browser) get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := b.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(url, response.Status, err, string(body))
	}
	return string(body)
}

// until asks for a page until it has some parts.
func (b *browser) until(t *testing.T, path string, parts ...string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		body, missing := b.get(t, b.base+path), ""
		for _, part := range parts {
			if !strings.Contains(body, part) {
				missing = part
			}
		}
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not have %q:\n%s", path, missing, body)
		}
	}
}

func TestDashboard(t *testing.T) {
	i := install(t)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	t.Run("administrator", func(t *testing.T) {
		b := i.dashboard(t, &dashboardCommand{})
		b.until(t, "", "Overview", "a standalone EPIC server", "etcd")
		i.fill(t, "acme")
		b.until(t, "accounts/epic-acme", "shop", "gate", "192.0.2.")
		b.until(t, "accounts/epic-acme/loadbalancer/shop", "10.1.1.1:8080", "10.0.0.1", "192.168.1.40")
		b.until(t, "addresses", "2 of 4")
	})
	t.Run("a user without rights", func(t *testing.T) {
		b := i.dashboard(t, &dashboardCommand{accounts: []string{"acme"}}, "jane")
		b.until(t, "", "Account acme", "parts are not shown", "You may not list loadbalancers.epic.acnodal.io in namespace epic-acme", "epic-auditor")
		if body := b.get(t, b.base); strings.Contains(body, "shop") {
			t.Error(body)
		}
	})
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no account is known":    {[]string{"--as", "jane"}, ExitFailure, "set your account with --account"},
		"no account's namespace": {[]string{"-n", "default"}, ExitUsage, "set --account"},
		"no name":                {[]string{"--account", "epic/acme"}, ExitUsage, "leave out the namespace"},
		"no port":                {[]string{"--port", "70000"}, ExitUsage, "from 1 to 65535"},
		"no Prometheus":          {[]string{"--prometheus", "http://prometheus.example"}, ExitUsage, "not on this machine"},
		"no Services":            {[]string{"--prometheus", "monitoring/prometheus:9090"}, ExitFailure, "standalone server"},
		"an argument":            {[]string{"acme"}, ExitUsage, "takes no argument"},
	} {
		t.Run(name, func(t *testing.T) {
			i.run(t, append([]string{"dashboard"}, test.args...)...).want(t, test.code, test.want)
		})
	}
}

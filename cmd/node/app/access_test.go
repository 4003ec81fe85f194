// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node"
)

func TestConnectorOptions(t *testing.T) {
	for _, test := range []struct{ url, kubeconfig, want string }{
		{"", "", ""},
		{"", "file", ""},
		{"https://epic-connector.epic-connector.svc:7450", "", ""},
		{"https://connector", "file", "--connector and --kubeconfig"},
		{"http://connector", "", "begins with https://"},
		{"connector:7450", "", "begins with https://"},
	} {
		err := (&connectorOptions{url: test.url}).validate(test.kubeconfig)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q, %q: %v, want %q", test.url, test.kubeconfig, err, test.want)
		}
	}
}

// A node that EPIC knows by an address of something in front of it uses its own.
func TestKnown(t *testing.T) {
	own, outside := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("203.0.113.9")
	six := netip.MustParseAddr("2001:db8::1")
	for name, test := range map[string]struct {
		address netip.Addr
		given   map[netip.Addr]netip.Addr
		want    netip.Addr // what the address is turned into
	}{
		"its own":              {address: own},
		"another":              {address: outside, want: own},
		"of another family":    {address: six},
		"given by a flag":      {address: outside, given: map[netip.Addr]netip.Addr{outside: outside}, want: outside},
		"of another interface": {address: netip.MustParseAddr("127.0.0.1")},
	} {
		local := map[netip.Addr]netip.Addr{}
		for a, b := range test.given {
			local[a] = b
		}
		nodes, local := known(test.address, []netip.Addr{own}, local)
		if len(nodes) != 1 || nodes[0] != test.address || local[test.address] != test.want {
			t.Errorf("%s: the node is %v, turned into %v", name, nodes, local)
		}
	}
}

// A node continues with the kubeconfig that replaces its file, without a restart.
func TestKubeconfigIsReadAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes as long as the program takes to read a file again")
	}
	asked := make(chan string, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "):
		default:
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"apiVersion": "epic.acnodal.io/v1", "kind": "LoadBalancerList", "items": []}`)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	token := func(name string, expires time.Time) string {
		payload := fmt.Sprintf(`{"sub": %q, "iat": %d, "exp": %d}`, name, time.Now().Unix(), expires.Unix())
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".x"
	}
	write := func(token string) {
		t.Helper()
		text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {"token": %q}}],
"contexts": [{"name": "c", "context": {"cluster": "s", "user": "u"}}], "clusters": [{"name": "s", "cluster": {"server": %q, "insecure-skip-tls-verify": true}}]}`, token, server.URL)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ended, fresh := token("ended", time.Now().Add(-time.Minute)), token("fresh", time.Now().Add(time.Hour))
	write(ended)
	var c node.Config
	if _, err := (&options{kubeconfig: file}).reach(&c); err != nil {
		t.Fatal(err)
	}
	ask := func(client versioned.Interface) string {
		t.Helper()
		if _, err := client.EpicV1().LoadBalancers("epic-acme").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
		return <-asked
	}
	if got := ask(c.Client); got != ended {
		t.Errorf("It has %s", got)
	}
	if text := c.Access.Problem(); !strings.Contains(text, "replace the file of --kubeconfig") {
		t.Errorf("The problem is %q", text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Access.Run(ctx) }()
	write(fresh)
	for end := time.Now().Add(time.Minute); ask(c.Client) != fresh; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("It goes on with the former credential")
		}
	}
	if text := c.Access.Problem(); text != "" || time.Until(c.Access.Expires()) < 50*time.Minute {
		t.Errorf("The problem is %q, and it expires %s", text, c.Access.Expires())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

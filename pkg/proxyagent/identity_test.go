// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/pki"
)

// The authority is replaced while a pod runs, without a failed request.
func TestAuthorityRotation(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	authority, err := pki.NewProxyAuthority(now.Add(-250 * day))
	if err != nil {
		t.Fatal(err)
	}
	dir := shortDir(t)
	o := newOperator(t, dir)
	o.creds.SetAuthority(authority)
	p := startPod(t, o, dir)
	port, to := freePort(t), backend(t, "a")
	o.set(site(t, "web", port, to)...)
	waitFor(t, port, "a")
	o.settled()
	load := startLoad(port)
	received := p.counters.resources.Load()
	first := p.identity.current().Leaf.Issuer.String()
	// The new authority is trusted; signs; is the only one. The pod renews in each step.
	for _, at := range []time.Time{now.Add(-6 * day), now.Add(-3 * day), now} {
		authority, changed, err := o.creds.Authority().Rotate(at)
		if err != nil || !changed {
			t.Fatalf("changed: %t, %v", changed, err)
		}
		o.creds.SetAuthority(authority)
		before := o.connections.Load()
		if err := p.identity.renew(t.Context(), p.relay.dialer); err != nil {
			t.Fatal(err)
		}
		p.relay.renew()
		eventually(t, "a stream with the new certificate", func() bool { return o.connections.Load() > before })
		o.settled()
	}
	load.check(t)
	if p.identity.current().Leaf.Issuer.String() == first {
		t.Error("the authority is the same")
	}
	if n := p.counters.resources.Load() - received; n > 0 {
		t.Errorf("%d resources were sent again", n)
	}
}

// A pod that is taken for another one does not use that certificate, and one without a
// good token gets none and says so.
func TestRenewRefused(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	token, ca := filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	try := func(what, want string) {
		t.Helper()
		i := newIdentity(web, dir, ca, token)
		err := i.renew(t.Context(), &dialer{address: "unix://" + o.socket, serverName: "operator.test", identity: i, counters: &counters{}})
		if err == nil || !strings.Contains(err.Error(), want) || i.current() != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	write(ca, "")
	write(token, "x")
	try("no authority", "no certificate in PEM")
	write(ca, string(o.creds.Authority().Bundle()))
	try("an unknown secret", "the secret is unknown")
	write(token, o.secrets.Issue(other()))
	try("another pod's secret", "that of another process")
	lookalike := web
	lookalike.Name = "lookalike"
	write(token, o.secrets.Issue(lookalike))
	try("another proxy of the same pod name", "check the flags")
	stranger, err := pki.NewProxyAuthority(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	write(ca, string(stranger.Bundle()))
	write(token, o.secrets.Issue(web))
	try("an operator that is not trusted", "certificate")
}

// A program that starts again uses the certificate that it had, unless that is over or
// another pod's.
func TestKeptIdentity(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	token, ca := filepath.Join(dir, "token"), filepath.Join(dir, "ca.crt")
	for path, content := range map[string][]byte{ca: o.creds.Authority().Bundle(), token: []byte(o.secrets.Issue(web))} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	i := newIdentity(web, dir, ca, token)
	d := &dialer{address: "unix://" + o.socket, serverName: "operator.test", identity: i, counters: &counters{}}
	if err := i.renew(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	again := newIdentity(web, dir, ca, token)
	if again.current() == nil {
		t.Fatal("the certificate is lost")
	}
	// The secret was used; the certificate renews itself.
	d.identity = again
	if err := again.renew(t.Context(), d); err != nil {
		t.Error(err)
	}
	if newIdentity(other(), dir, ca, token).current() != nil {
		t.Error("another pod's certificate is used")
	}
	if got := untilRenewal(again.current().Leaf, time.Now()); got < 13*time.Hour || got > 17*time.Hour {
		t.Errorf("the certificate is renewed after %s", got)
	}
}

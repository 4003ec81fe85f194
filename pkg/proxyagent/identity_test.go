// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/acnodal/epic/pkg/pki"
	"github.com/acnodal/epic/test/tools/freeport"
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
	port, to := freeport.Get(t), backend(t, "a")
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

// An authority that is replaced at once, with no time in which both are trusted, costs no
// request: the pod renews its certificate as soon as the operator refuses it, and once the pod
// was given the new authority it gets changes again.
func TestAuthorityReplaced(t *testing.T) {
	dir := shortDir(t)
	o := newOperator(t, dir)
	p := startPod(t, o, dir)
	port, to := freeport.Get(t), backend(t, "a")
	o.set(site(t, "web", port, to)...)
	waitFor(t, port, "a")
	o.settled()
	load := startLoad(port)
	first := p.identity.current().Leaf.Issuer.String()

	o.stop()
	authority, err := pki.NewProxyAuthority(time.Now().Add(time.Second)) // its name has the second
	if err != nil {
		t.Fatal(err)
	}
	o.creds.SetAuthority(authority)
	for path, content := range map[string][]byte{"ca.crt": authority.Bundle(), "token": []byte(o.secrets.Issue(web))} {
		if err := os.WriteFile(filepath.Join(dir, path), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.start()
	o.settled()
	if p.identity.current().Leaf.Issuer.String() == first {
		t.Error("the certificate is the former authority's")
	}
	load.check(t)
	other := backend(t, "b")
	o.set(site(t, "web", port, other)...)
	waitFor(t, port, "b")
}

// A refusal counts only if it is one, and a new certificate is not replaced for it at once.
func TestSuspect(t *testing.T) {
	for text, test := range map[string]struct {
		err  error
		want bool
	}{
		"no certificate, or one of another authority": {status.Error(codes.Unauthenticated, "x"), true},
		"an alert":                  {status.Error(codes.Unavailable, `connection error: desc = "error reading server preface: remote error: tls: unknown certificate authority"`), true},
		"the operator is away":      {status.Error(codes.Unavailable, "connection refused"), false},
		"the pod does not trust it": {status.Error(codes.Unavailable, "tls: failed to verify certificate: x509: certificate signed by unknown authority"), false},
		"another error":             {errors.New("x"), false},
	} {
		i := newIdentity(web, t.TempDir(), "", "")
		i.suspect(test.err)
		i.suspect(test.err)
		if got := len(i.refused) == 1; got != test.want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

// However often a certificate is refused, it is renewed less and less often; and once more when
// it is refused after a long time.
func TestRefusedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 11*time.Hour)
		defer cancel()
		refused := make(chan struct{}, 1)
		var stop atomic.Bool
		go func() {
			for ; ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
				if !stop.Load() {
					select {
					case refused <- struct{}{}:
					default:
					}
				}
			}
		}()
		begin := time.Now()
		c := &x509.Certificate{NotBefore: begin, NotAfter: begin.Add(24 * time.Hour)}
		r := renewal{got: begin}
		for n, seconds := range []int{3, 6, 12, 24, 48, 96, 192, 384, 600, 600} {
			if n == 9 {
				r.refusals = 50
			}
			if !r.wait(ctx, c, refused) {
				t.Fatal("it ended")
			}
			want := time.Duration(seconds) * time.Second
			if took := time.Since(r.got); took < want || took > want+time.Second {
				t.Errorf("refused for the %d. time, it is renewed after %s, want %s", n+1, took, want)
			}
			r.got = time.Now()
		}
		stop.Store(true)
		for len(refused) > 0 {
			<-refused
		}
		sleep(ctx, time.Hour)
		stop.Store(false)
		at := time.Now()
		if !r.wait(ctx, c, refused) || time.Since(at) > time.Second {
			t.Errorf("after an hour it is renewed %s after a refusal", time.Since(at))
		}
		cancel()
	})
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
	try("another pod's secret", "belongs to another process")
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

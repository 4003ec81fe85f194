// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"context"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"
)

var loopback = []net.IP{net.IPv4(127, 0, 0, 1)}

func openAt(t *testing.T, dir string, clock *testingclock.FakeClock, addresses []net.IP) *Store {
	t.Helper()
	s, err := open(t.Context(), dir, []string{"localhost"}, addresses, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCertificatesHoldTogether(t *testing.T) {
	now := time.Now()
	s := openAt(t, t.TempDir(), testingclock.NewFakeClock(now), loopback)
	roots := x509.NewCertPool()
	roots.AddCert(s.ca.cert)
	for _, name := range []string{"localhost", "127.0.0.1"} {
		if _, err := s.serving.cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			t.Errorf("The serving certificate does not do for %s: %v", name, err)
		}
	}
	if _, err := s.admin.cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("The administrator's certificate does not verify: %v", err)
	}
	if got := s.admin.cert.Subject; got.CommonName != AdminUser || len(got.Organization) != 1 || got.Organization[0] != "system:masters" {
		t.Errorf("The administrator is %v", got)
	}
	// The server's own key must not make an administrator.
	if _, err := s.serving.cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("The serving certificate is good for a client too")
	}
}

func TestRenewal(t *testing.T) {
	start := time.Now()
	for name, test := range map[string]struct {
		at                 time.Duration
		addresses          []net.IP
		damage             string
		ca, serving, admin bool // whether it is created again
	}{
		"at once":              {},
		"half of the life":     {at: certificateLife / 2},
		"last third":           {at: certificateLife * 3 / 4, serving: true, admin: true},
		"expired":              {at: certificateLife * 2, serving: true, admin: true},
		"authority near end":   {at: authorityLife * 3 / 4, ca: true, serving: true, admin: true},
		"another address":      {addresses: []net.IP{net.IPv4(192, 0, 2, 1)}, serving: true},
		"serving key missing":  {damage: "serving.key", serving: true},
		"authority missing":    {damage: "ca.crt", ca: true, serving: true, admin: true},
		"clock set back a lot": {at: -48 * time.Hour, ca: true, serving: true, admin: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			clock := testingclock.NewFakeClock(start)
			before := openAt(t, dir, clock, loopback)
			if test.damage != "" {
				if err := os.Remove(filepath.Join(dir, test.damage)); err != nil {
					t.Fatal(err)
				}
			}
			clock.SetTime(start.Add(test.at))
			addresses := test.addresses
			if addresses == nil {
				addresses = loopback
			}
			after := openAt(t, dir, clock, addresses)
			for what, pair := range map[string]struct {
				before, after *issued
				want          bool
			}{
				"ca":      {before.ca, after.ca, test.ca},
				"serving": {before.serving, after.serving, test.serving},
				"admin":   {before.admin, after.admin, test.admin},
			} {
				if changed := !bytes.Equal(pair.before.certPEM, pair.after.certPEM); changed != pair.want {
					t.Errorf("%s: made anew: %v, want %v", what, changed, pair.want)
				}
				if err := pair.after.cert.CheckSignatureFrom(after.ca.cert); err != nil {
					t.Errorf("%s is not signed by the authority: %v", what, err)
				}
			}
		})
	}
}

func TestRenewWhileRunning(t *testing.T) {
	clock := testingclock.NewFakeClock(time.Now())
	s := openAt(t, t.TempDir(), clock, loopback)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed := make(chan struct{})
	go s.Renew(ctx, func() error { close(changed); return nil })
	for !clock.HasWaiters() {
		time.Sleep(time.Millisecond)
	}
	clock.Step(certificateLife * 3 / 4)
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Error("Nothing was renewed")
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, testingclock.NewFakeClock(time.Now()), loopback)
	kubeconfig := filepath.Join(dir, "new", "kubeconfig")
	if err := s.WriteKubeconfig(kubeconfig, "https://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil || len(files) != 6 {
		t.Fatalf("The files are %v, %v", files, err)
	}
	for _, file := range append(files, kubeconfig) {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file, info.Mode().Perm())
		}
	}
}

func TestCheckFile(t *testing.T) {
	dir := t.TempDir()
	now := time.Now()
	s := openAt(t, dir, testingclock.NewFakeClock(now), loopback)
	file, _ := s.ServingFiles()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file string
		at   time.Time
		want string // "" means good
	}{
		"good":    {file, now, ""},
		"expired": {file, now.Add(2 * certificateLife), "expired on " + s.serving.cert.NotAfter.UTC().Format(time.RFC3339)},
		"early":   {file, now.Add(-certificateLife), "not valid before"},
		"missing": {filepath.Join(dir, "nothing"), now, "no such file"},
		"garbage": {garbage, now, "no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckFile("some-flag", test.file, test.at)
			if test.want == "" {
				if err != nil {
					t.Errorf("A good certificate is refused: %v", err)
				}
				return
			}
			if err == nil {
				t.Fatal("It is accepted")
			}
			for _, want := range []string{test.want, "--some-flag", test.file} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("The error does not have %q: %v", want, err)
				}
			}
		})
	}
}

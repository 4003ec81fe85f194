// SPDX-License-Identifier: Apache-2.0

package secretfolder

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/acnodal/epic/pkg/pki/pkitest"
)

type files struct {
	*testing.T
	dir string
}

func (f files) write(name string, data []byte) {
	f.Helper()
	dir := filepath.Join(f.dir, "epic-acme", "shop")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.Fatal(err)
	}
	// Replaced as tools do it: the time differs, whatever the file system counts in.
	temporary := filepath.Join(f.dir, "new")
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		f.Fatal(err)
	}
	if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
		f.Fatal(err)
	}
}

func newPair(t *testing.T) (certificate, key []byte) {
	t.Helper()
	certificate, key, err := pkitest.SelfSigned(&x509.Certificate{DNSNames: []string{"shop.example.com"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func expect(t *testing.T, when string, secret *corev1.Secret, certificate, key []byte) {
	t.Helper()
	if secret == nil {
		t.Fatalf("%s: there is no Secret", when)
	}
	if !slices.Equal(secret.Data[corev1.TLSCertKey], certificate) || !slices.Equal(secret.Data[corev1.TLSPrivateKeyKey], key) {
		t.Errorf("%s: the Secret is another one", when)
	}
}

// Files are replaced one after the other. Whoever reads in between gets the former pair, and
// is told when the new one is complete.
func TestReplacedOneAfterTheOther(t *testing.T) {
	files, clock := files{t, t.TempDir()}, testingclock.NewFakePassiveClock(time.Now())
	f := New(files.dir)
	f.clock = clock
	get := func() *corev1.Secret { return f.Get("epic-acme", "shop") }
	if get() != nil {
		t.Error("there is a Secret without files")
	}
	firstCertificate, firstKey := newPair(t)
	secondCertificate, secondKey := newPair(t)

	files.write(corev1.TLSCertKey, firstCertificate)
	expect(t, "before there is a key", get(), firstCertificate, nil)
	files.write(corev1.TLSPrivateKeyKey, firstKey)
	expect(t, "with its key", get(), firstCertificate, firstKey)

	files.write(corev1.TLSCertKey, secondCertificate)
	expect(t, "before the key is replaced", get(), firstCertificate, firstKey)
	if got := f.look(); !slices.Equal(got, []string{"epic-acme/shop"}) {
		t.Errorf("what is to be read again is %q", got)
	}
	files.write(corev1.TLSPrivateKeyKey, secondKey)
	expect(t, "with both replaced", get(), secondCertificate, secondKey)
	if got := f.look(); len(got) > 0 {
		t.Errorf("%q is to be read again, but it did not change", got)
	}

	// A pair that stays wrong is meant: its error has to show.
	files.write(corev1.TLSPrivateKeyKey, firstKey)
	expect(t, "with another's key", get(), secondCertificate, secondKey)
	clock.SetTime(clock.Now().Add(settle))
	if got := f.look(); len(got) != 1 {
		t.Errorf("what is to be read again is %q", got)
	}
	expect(t, "with another's key for long", get(), secondCertificate, firstKey)
	expect(t, "later", get(), secondCertificate, firstKey)

	if err := os.RemoveAll(filepath.Join(files.dir, "epic-acme", "shop")); err != nil {
		t.Fatal(err)
	}
	if get() != nil {
		t.Error("there is a Secret, although its folder was removed")
	}
}

// Secrets without a certificate never were pairs.
func TestAuthorities(t *testing.T) {
	files := files{t, t.TempDir()}
	f := New(files.dir)
	authorities, _ := newPair(t)
	files.write("ca.crt", authorities)
	if got := f.Get("epic-acme", "shop"); got == nil || got.Type != corev1.SecretTypeOpaque || !slices.Equal(got.Data["ca.crt"], authorities) {
		t.Errorf("got %+v", got)
	}
	for _, name := range []string{"..", "../shop", ""} {
		if f.Get("epic-acme", name) != nil {
			t.Errorf("%q is a Secret", name)
		}
	}
}

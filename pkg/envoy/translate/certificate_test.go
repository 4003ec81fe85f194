// SPDX-License-Identifier: Apache-2.0

package translate_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Envoy takes each certificate that the translation takes; others are reported with the
// reason, and their listener is not served.
func TestCertificates(t *testing.T) {
	ec := func(curve elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	rsaKey := func(bits int) crypto.Signer {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	valid := func() *corev1.Secret { return secretOf("www", ec(elliptic.P256())) }
	changed := func(key string, value []byte) *corev1.Secret {
		s := valid()
		s.Data[key] = value
		return s
	}
	envoy := startEnvoy(t)
	for _, tc := range []struct {
		name   string
		secret *corev1.Secret
		// refused is in the message of the problem.
		refused string
	}{
		{"P-256", valid(), ""},
		{"P-384", secretOf("www", ec(elliptic.P384())), ""},
		{"P-521", secretOf("www", ec(elliptic.P521())), ""},
		{"P-224", secretOf("www", ec(elliptic.P224())), "use P-256"},
		{"RSA", secretOf("www", rsaKey(2048)), ""},
		{"Ed25519", secretOf("www", edwards), "Ed25519"},
		{"does not exist", nil, "create it"},
		{"nothing in it", &corev1.Secret{ObjectMeta: valid().ObjectMeta}, "add a certificate"},
		{"another key", changed("tls.key", valid().Data["tls.key"]), "does not match"},
		{"garbage", changed("tls.crt", []byte("garbage")), "can't be used"},
		{"text around it", changed("tls.crt", append([]byte("subject: x\n"), valid().Data["tls.crt"]...)), "does not match"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := readWorld(t, "testdata/https-one.yaml")
			// The certificates are made now.
			w.now = time.Now()
			if tc.secret != nil {
				w.secrets["www"] = tc.secret
			}
			got := w.translate(t)
			var messages []string
			for _, p := range got.Problems {
				messages = append(messages, p.String())
			}
			all := strings.Join(messages, "\n")
			if tc.refused == "" && all != "" || tc.refused != "" && !strings.Contains(all, tc.refused) {
				t.Errorf("problems %q, want %q", all, tc.refused)
			}
			if err := envoy.Apply(unbound(t, got.set)); err != nil {
				t.Errorf("Envoy refuses it: %v", err)
			}
		})
	}
}

// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestInstallation(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	authority, created, err := EnsureAuthority(nil, "epic-ca", now)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	leaf := Leaf{CommonName: "epic-apiserver", Names: []string{"epic-apiserver.epic-system.svc"}, Server: true}
	data, created, err := EnsureLeaf(nil, authority, leaf, now)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	ca, err := readAuthority(authority)
	if err != nil {
		t.Fatal(err)
	}
	is, err := parsePair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	if _, err := is.cert.Verify(x509.VerifyOptions{DNSName: leaf.Names[0], Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		t.Error(err)
	}
	if _, err := is.cert.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err == nil {
		t.Error("A serving certificate is good for clients")
	}
	if _, created, err := EnsureAuthority(authority, "epic-ca", now.Add(time.Hour)); err != nil || created {
		t.Errorf("The authority is made again: %t, %v", created, err)
	}
	other, _, err := EnsureAuthority(nil, "epic-ca", now)
	if err != nil {
		t.Fatal(err)
	}
	damaged := map[string][]byte{corev1.TLSCertKey: []byte("x"), corev1.TLSPrivateKeyKey: data[corev1.TLSPrivateKeyKey], CAKey: data[CAKey]}
	for name, tc := range map[string]struct {
		data, authority map[string][]byte
		leaf            Leaf
		at              time.Duration
		again           bool
	}{
		"the same":          {data, authority, leaf, 0, false},
		"half of its life":  {data, authority, leaf, certificateLife / 2, false},
		"its last third":    {data, authority, leaf, certificateLife * 3 / 4, true},
		"damaged":           {damaged, authority, leaf, 0, true},
		"another authority": {data, other, leaf, 0, true},
		"another name":      {data, authority, Leaf{"epic-apiserver", []string{leaf.Names[0], "epic"}, true, false}, 0, true},
		"another subject":   {data, authority, Leaf{"epic-etcd-peer", leaf.Names, true, false}, 0, true},
		"another usage":     {data, authority, Leaf{leaf.CommonName, leaf.Names, true, true}, 0, true},
	} {
		if _, created, err := EnsureLeaf(tc.data, tc.authority, tc.leaf, now.Add(tc.at)); err != nil || created != tc.again {
			t.Errorf("%s: made again: %t, %v", name, created, err)
		}
	}
	for name, tc := range map[string]struct {
		data map[string][]byte
		at   time.Duration
		want string
	}{
		"near its end":     {authority, authorityLife - certificateLife/2, "A new authority"},
		"a part is gone":   {map[string][]byte{corev1.TLSCertKey: authority[corev1.TLSCertKey]}, 0, "restore the Secret"},
		"not an authority": {data, 0, "is not a certificate authority"},
	} {
		if _, created, err := EnsureAuthority(tc.data, "epic-ca", now.Add(tc.at)); err == nil || created || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %t, %v", name, created, err)
		}
	}
}

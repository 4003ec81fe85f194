// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"crypto/x509"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/pki/pkitest"
)

// A certificate that expires is reported when it does, though no object changes, and the
// report goes when it is renewed.
func TestCertificateExpires(t *testing.T) {
	r := newRig(t)
	put := func(until time.Time) {
		t.Helper()
		certificate, key, err := pkitest.SelfSigned(&x509.Certificate{DNSNames: []string{"www.example.com"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until}, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.secrets.Store("www", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "www"}, Data: map[string][]byte{
			"tls.crt": certificate, "tls.key": key,
		}})
	}
	id := gatewayID(ns, "gw")
	// wait waits until the outcome indicates that the certificate has expired, or does not.
	wait := func(want bool) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			o := r.feed.Outcome(id)
			got := o != nil && slices.ContainsFunc(o.Problems, func(p translate.Problem) bool { return p.Reason == translate.ReasonCertificateExpired })
			if o != nil && got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("expired: want %v, and the outcome is %+v", want, o)
			}
		}
	}
	put(time.Now().Add(5 * time.Second))
	hostname := gatewayv1.Hostname("www.example.com")
	gw := &epicv1.GWProxy{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "gw", UID: "u2", ResourceVersion: "1", Generation: 1},
		Spec: epicv1.GWProxySpec{PublicAddress: "192.0.2.1", Gateway: &epicv1.GatewaySpec{GatewaySpec: gatewayv1.GatewaySpec{Listeners: []gatewayv1.Listener{{
			Name: "https", Port: 443, Protocol: gatewayv1.HTTPSProtocolType, Hostname: &hostname,
			TLS: &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Name: "www"}}},
		}}}}},
	}
	r.must(r.client.EpicV1().GWProxies(ns).Create(t.Context(), gw, metav1.CreateOptions{}))
	wait(true)
	if n := r.server.count(id); n != 2 {
		t.Errorf("the proxy was translated %d times, want once for the object and once for the time", n)
	}
	put(time.Now().Add(time.Hour))
	r.feed.Secret(id, "www")
	wait(false)
}

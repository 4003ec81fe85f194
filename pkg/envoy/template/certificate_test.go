// SPDX-License-Identifier: Apache-2.0

package template

import (
	"crypto/x509"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
	"github.com/acnodal/epic/pkg/pki/pkitest"
)

// A certificate that clients refuse is served, and reported with the time at which that
// changes.
func TestCertificatesOfTemplates(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		from, to time.Time
		reason   string
		until    time.Time
	}{
		"valid":   {now.Add(-time.Hour), now.Add(time.Hour), "", now.Add(time.Hour)},
		"expired": {now.Add(-time.Hour), now.Add(-time.Minute), translate.ReasonCertificateExpired, time.Time{}},
		"early":   {now.Add(time.Minute), now.Add(time.Hour), translate.ReasonCertificateNotYetValid, now.Add(time.Minute)},
	} {
		certificate, key, err := pkitest.SelfSigned(&x509.Certificate{NotBefore: c.from, NotAfter: c.to}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s := spec()
		s.EnvoyResources.Secrets = []epicv1.EnvoySecretResource{{Name: "x", Ref: &epicv1.SecretReference{Name: "tls"}}}
		in := gatewayInput(s)
		in.Now = now
		in.Secrets = map[string]*corev1.Secret{"tls": {ObjectMeta: metav1.ObjectMeta{Namespace: in.Proxy.Namespace, Name: "tls"}, Data: map[string][]byte{
			"tls.crt": certificate, "tls.key": key,
		}}}
		r, _ := Render(t.Context(), in)
		if r == nil || r.Resources[resource.Key{Type: resource.Secret, Name: "x"}] == nil {
			t.Fatalf("%s: the certificate is not served", name)
		}
		reason := ""
		for _, p := range r.Problems {
			if p.Field == "spec.envoy-template.envoyResources.secrets[0]" {
				reason = p.Reason
			}
		}
		if off := r.Until.Sub(c.until).Abs(); reason != c.reason || off > 2*time.Second {
			t.Errorf("%s: reason %q until %v, want %q until %v", name, reason, r.Until, c.reason, c.until)
		}
	}
}

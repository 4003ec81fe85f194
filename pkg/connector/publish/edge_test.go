// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestEdgeOf(t *testing.T) {
	for text, c := range map[string]struct {
		want *epicv1.EdgeSpec
		err  string
	}{
		"":                       {},
		"{}":                     {want: &epicv1.EdgeSpec{}},
		"http3: {mode: Enabled}": {want: &epicv1.EdgeSpec{HTTP3: &epicv1.HTTP3{Mode: epicv1.EdgeEnabled}}},
		`{"healthCheck": {"http": {"path": "/healthz"}}}`: {want: &epicv1.EdgeSpec{HealthCheck: &epicv1.HealthCheck{HTTP: &epicv1.HTTPHealthCheck{Path: "/healthz"}}}},
		"http4: {}":                            {err: `unknown field "http4"`},
		"rateLimit: 5":                         {err: "write the fields of spec.edge of a GWProxy"},
		"a: [":                                 {err: "can't be read"},
		"#" + strings.Repeat("a", maxEdgeText): {err: "shorten it to 65536"},
	} {
		got, err := edgeOf(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{EdgeAnnotation: text}}})
		if diff := cmp.Diff(c.want, got); diff != "" && c.err == "" {
			t.Errorf("%.40q (-want +got):\n%s", text, diff)
		}
		if (err != nil) != (c.err != "") || err != nil && (!strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), EdgeAnnotation)) {
			t.Errorf("%.40q: error %v, want %q", text, err, c.err)
		}
	}
}

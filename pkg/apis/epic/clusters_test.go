// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

func TestProxyOf(t *testing.T) {
	paris := map[string]string{OwningClusterLabel: "paris"}
	for name, test := range map[string]struct {
		labels, annotations map[string]string
		want                string
	}{
		"made by hand":               {want: "paris rome"},
		"other labels":               {labels: map[string]string{"a": "b"}, annotations: map[string]string{"c": "d"}, want: "paris rome"},
		"one cluster's":              {labels: paris, want: "paris"},
		"shared":                     {labels: paris, annotations: map[string]string{OwnerAnnotation("paris"): "u", OwnerAnnotation("rome"): "v"}, want: "paris rome"},
		"shared, its creator left":   {labels: paris, annotations: map[string]string{OwnerAnnotation("rome"): "v"}, want: "rome"},
		"shared by others":           {labels: map[string]string{OwningClusterLabel: "oslo"}, annotations: map[string]string{OwnerAnnotation("oslo"): "w"}},
		"an empty label":             {labels: map[string]string{OwningClusterLabel: ""}},
		"a name that begins as this": {labels: map[string]string{OwningClusterLabel: "paris-2"}},
	} {
		var got []string
		for _, cluster := range []string{"paris", "rome"} {
			if ProxyOf(&metav1.ObjectMeta{Labels: test.labels, Annotations: test.annotations}, cluster) {
				got = append(got, cluster)
			}
		}
		if got := strings.Join(got, " "); got != test.want {
			t.Errorf("%s: it is of %q, want %q", name, got, test.want)
		}
	}
}

func TestOwnerAnnotation(t *testing.T) {
	seen := map[string]bool{}
	for _, cluster := range []string{"paris", strings.Repeat("a", 63), strings.Repeat("a", 62) + "b", "Paris", "paris.example"} {
		key := OwnerAnnotation(cluster)
		if problems := validation.IsQualifiedName(key); len(problems) > 0 || seen[key] {
			t.Errorf("%s has the annotation %s, used before: %v, %v", cluster, key, seen[key], problems)
		}
		seen[key] = true
	}
}

// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestKindsListed(t *testing.T) {
	kinds := []metav1.APIResource{{Name: "epics", Kind: "EPIC"}}
	for _, test := range []struct {
		name  string
		lists []*metav1.APIResourceList
		ok    bool
	}{
		{"nothing", nil, false},
		{"another group", []*metav1.APIResourceList{{GroupVersion: "apps/v1", APIResources: kinds}}, false},
		{"a group whose kinds are not known yet", []*metav1.APIResourceList{{GroupVersion: "epic.acnodal.io/v1"}}, false},
		{"the kinds", []*metav1.APIResourceList{{GroupVersion: "apps/v1"}, {GroupVersion: "epic.acnodal.io/v1", APIResources: kinds}}, true},
	} {
		kube := fake.NewClientset()
		kube.Resources = test.lists
		err := (&Setup{Kube: kube}).kindsListed(t.Context())
		if (err == nil) != test.ok || err != nil && !strings.Contains(err.Error(), "epic.acnodal.io/v1") {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

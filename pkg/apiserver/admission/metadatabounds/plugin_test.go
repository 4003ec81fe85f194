// SPDX-License-Identifier: Apache-2.0

package metadatabounds

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func admit(obj runtime.Object, group, subresource string) error {
	return New().Admit(context.Background(), admission.NewAttributesRecord(obj, nil, schema.GroupVersionKind{Group: epic.GroupName, Kind: "GWRoute"}, "epic-a", "r",
		schema.GroupVersionResource{Group: group, Resource: "gwroutes"}, subresource, admission.Update, nil, false, nil), nil)
}

func many(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint(i)] = ""
	}
	return m
}

func TestMetadata(t *testing.T) {
	for name, test := range map[string]struct {
		meta metav1.ObjectMeta
		want string
	}{
		"as much as may be": {metav1.ObjectMeta{Labels: many(128), Annotations: many(256), Finalizers: make([]string, 64), OwnerReferences: make([]metav1.OwnerReference, 64)}, ""},
		"labels":            {metav1.ObjectMeta{Labels: many(129)}, "metadata.labels: Invalid value: 129: has more than 128 entries: remove some"},
		"annotations":       {metav1.ObjectMeta{Annotations: many(257)}, "metadata.annotations"},
		"finalizers":        {metav1.ObjectMeta{Finalizers: make([]string, 65)}, "metadata.finalizers"},
		"owners":            {metav1.ObjectMeta{OwnerReferences: make([]metav1.OwnerReference, 65)}, "metadata.ownerReferences"},
	} {
		for _, subresource := range []string{"", "status"} {
			err := admit(&epic.GWRoute{ObjectMeta: test.meta}, epic.GroupName, subresource)
			if (err == nil) != (test.want == "") || err != nil && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%s: %v, want %q", name, err, test.want)
			}
		}
	}
	if err := admit(&epic.GWRoute{ObjectMeta: metav1.ObjectMeta{Labels: many(1000)}}, "apps", ""); err != nil {
		t.Errorf("another group: %v", err)
	}
	if err := admit(nil, epic.GroupName, ""); err != nil {
		t.Errorf("a deletion: %v", err)
	}
}

// Metadata comes by creations and updates; the plugin has to be asked about both.
func TestHandles(t *testing.T) {
	for op, want := range map[admission.Operation]bool{admission.Create: true, admission.Update: true, admission.Delete: false, admission.Connect: false} {
		if got := New().Handles(op); got != want {
			t.Errorf("%s: %v", op, got)
		}
	}
}

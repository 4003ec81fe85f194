// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// managedByLabel marks the role bindings that this program created, and therefore may
// delete.
const managedByLabel = "app.kubernetes.io/managed-by"

// namespaceLabels mark a namespace as an account's.
var namespaceLabels = map[string]string{
	epic.ComponentLabel: epic.AccountNamespaceComponent,
	epic.PartOfLabel:    epic.ProductName,
}

// bindingLabels are the labels of the role bindings.
var bindingLabels = map[string]string{
	epic.PartOfLabel: epic.ProductName,
	managedByLabel:   program,
}

func accountNamespace(account string) string { return epic.AccountNamespace(account) }

// newNamespace returns an account's namespace.
func newNamespace(account string) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: accountNamespace(account), Labels: copied(namespaceLabels)},
	}
}

func newAccount(name string) *v1.Account {
	return &v1.Account{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1.SchemeGroupVersion.String(), Kind: "Account"},
		ObjectMeta: metav1.ObjectMeta{Namespace: accountNamespace(name), Name: name},
	}
}

// hasLabels reports whether an object has all of them.
func hasLabels(have, want map[string]string) bool {
	for key, value := range want {
		if have[key] != value {
			return false
		}
	}
	return true
}

func copied(m map[string]string) map[string]string {
	out := make(map[string]string, len(m))
	for key, value := range m {
		out[key] = value
	}
	return out
}

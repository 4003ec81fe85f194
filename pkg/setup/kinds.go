// SPDX-License-Identifier: Apache-2.0

package setup

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// kindsListed fails while the kube-apiserver does not list EPIC's kinds. The list follows
// the condition Available of the APIService by up to some seconds. Until then, kubectl
// does not know EPIC's kinds; a user who waits for the Job can apply EPIC's objects next.
func (s *Setup) kindsListed(context.Context) error {
	// The error also covers other groups, which do not matter here.
	_, lists, err := s.Kube.Discovery().ServerGroupsAndResources()
	if slices.ContainsFunc(lists, func(list *metav1.APIResourceList) bool {
		return list.GroupVersion == v1.SchemeGroupVersion.String() && len(list.APIResources) > 0
	}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the kinds of %s: %w", v1.SchemeGroupVersion, err)
	}
	return fmt.Errorf("kube-apiserver does not list the kinds of %s yet", v1.SchemeGroupVersion)
}

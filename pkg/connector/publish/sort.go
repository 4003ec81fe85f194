// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// sorted returns a list sorted by compareAge.
func sorted[T metav1.Object](list []T) []T {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b T) int { return compareAge(a, b) })
	return list
}

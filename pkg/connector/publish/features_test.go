// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"slices"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// A new version of the Gateway API must not claim what nobody has looked at.
func TestFeatures(t *testing.T) {
	all := Features()
	if !slices.IsSortedFunc(all, func(a, b gatewayv1.SupportedFeature) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) }) {
		t.Error("the features are not in order")
	}
	if want := 48; len(all) != want {
		t.Errorf("there are %d features, and %d were known: see which are new, and whether they are supported", len(all), want)
	}
}

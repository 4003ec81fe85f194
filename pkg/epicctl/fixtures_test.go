// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func sliceSpec() v1.GWEndpointSliceSpec {
	spec := v1.GWEndpointSliceSpec{NodeAddresses: map[string]string{}}
	spec.AddressType = discoveryv1.AddressTypeIPv4
	spec.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{"10.1.1.1"}}}
	return spec
}

// foreignNamespace has the name of an account's namespace and belongs to
// somebody else.
func foreignNamespace(name string, labels map[string]string) *corev1.Namespace {
	ns := &corev1.Namespace{}
	ns.Name, ns.Labels = name, labels
	return ns
}

// SPDX-License-Identifier: Apache-2.0

package follow

import (
	"fmt"
	"reflect"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Endpoints keep their addresses, nodes and conditions, and nothing else.
func TestSlimEndpoints(t *testing.T) {
	spec := epicv1.GWEndpointSliceSpec{NodeAddresses: map[string]string{"node0": "192.0.2.1", "node1": "192.0.2.2", "unused": "192.0.2.9"}}
	var want []discoveryv1.Endpoint
	for i := range 20 {
		e := discoveryv1.Endpoint{Addresses: []string{fmt.Sprintf("10.0.0.%d", i)}, Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(i%2 == 0)}}
		switch i % 4 {
		case 0:
			e.NodeName = ptr.To(fmt.Sprintf("node%d", i%2))
		case 1:
			e.NodeName = ptr.To("elsewhere")
		case 2:
			e.Addresses = append(e.Addresses, "2001:db8::1")
		}
		want = append(want, *e.DeepCopy())
		e.Hostname, e.Zone, e.DeprecatedTopology = ptr.To("host"), ptr.To("zone"), map[string]string{"a": "b"}
		spec.Endpoints = append(spec.Endpoints, e)
	}
	addresses := map[string]string{"node0": "192.0.2.1", "node1": "192.0.2.2", "unused": "192.0.2.9"}
	slimEndpoints(&spec)
	if !reflect.DeepEqual(spec.Endpoints, want) {
		t.Errorf("%+v, want %+v", spec.Endpoints, want)
	}
	if !reflect.DeepEqual(spec.NodeAddresses, addresses) {
		t.Errorf("%v, want %v", spec.NodeAddresses, addresses)
	}
}

// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/google/go-cmp/cmp"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// An Envoy is configured when it has accepted clusters and listeners, also before its stream.
func TestConfigured(t *testing.T) {
	cds, lds := resource.Cluster, resource.Listener
	has := &discoveryv3.DeltaDiscoveryRequest{InitialResourceVersions: map[string]string{"x": "1"}}
	nothing := &discoveryv3.DeltaDiscoveryRequest{}
	for name, test := range map[string]struct {
		clusters, listeners *discoveryv3.DeltaDiscoveryRequest
		want                bool
	}{
		"a new one":                {nothing, nothing, false},
		"it has both":              {has, has, true},
		"it has clusters only":     {has, nothing, false},
		"it asks for clusters yet": {has, nil, false},
	} {
		tr := newTracker()
		tr.request(cds, test.clusters)
		if test.listeners != nil {
			tr.request(lds, test.listeners)
		}
		if got := tr.configured(); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
		if test.want || test.listeners == nil {
			continue
		}
		for _, typ := range []resource.Type{cds, lds} {
			tr.sent(typ, &discoveryv3.DeltaDiscoveryResponse{Nonce: "n"})
			tr.request(typ, &discoveryv3.DeltaDiscoveryRequest{ResponseNonce: "n"})
		}
		if !tr.configured() {
			t.Errorf("%s: not when it has accepted both", name)
		}
	}
}

// What a tracker tells a new source is what Envoy itself would.
func TestIntroduction(t *testing.T) {
	tr := newTracker()
	if !tr.fresh() || tr.configured() || tr.unanswered() || len(tr.introduction()) > 0 {
		t.Error("a new tracker knows something")
	}
	cds, eds := resource.Cluster, resource.Endpoint
	tr.request(cds, &discoveryv3.DeltaDiscoveryRequest{InitialResourceVersions: map[string]string{"kept": "1"}})
	tr.sent(cds, &discoveryv3.DeltaDiscoveryResponse{Nonce: "a:1", Resources: []*discoveryv3.Resource{{Name: "new", Version: "1"}}, RemovedResources: []string{"kept"}})
	if !tr.unanswered() {
		t.Error("a response is not awaited")
	}
	if v, _ := tr.request(cds, &discoveryv3.DeltaDiscoveryRequest{ResponseNonce: "b:1"}); v != nil {
		t.Error("another source's nonce is taken")
	}
	if v, _ := tr.request(cds, &discoveryv3.DeltaDiscoveryRequest{ResponseNonce: "a:1"}); v == nil || v.refused {
		t.Error("the acknowledgment is not seen")
	}
	tr.sent(cds, &discoveryv3.DeltaDiscoveryResponse{Nonce: "a:2", Resources: []*discoveryv3.Resource{{Name: "new", Version: "2"}}})
	if v, _ := tr.request(cds, &discoveryv3.DeltaDiscoveryRequest{ResponseNonce: "a:2", ErrorDetail: &statuspb.Status{Message: "no"}}); v == nil || !v.refused {
		t.Error("the refusal is not seen")
	}
	tr.request(eds, &discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"x", "y"}, InitialResourceVersions: map[string]string{"x": "1", "y": "1"}})
	_, dropped := tr.request(eds, &discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"z", "y"}, ResourceNamesUnsubscribe: []string{"x"}})
	if !cmp.Equal(dropped, []string{"x"}) {
		t.Errorf("dropped: %v", dropped)
	}
	want := []*discoveryv3.DeltaDiscoveryRequest{
		{TypeUrl: cds.URL(), InitialResourceVersions: map[string]string{"new": "1"}},
		{TypeUrl: eds.URL(), ResourceNamesSubscribe: []string{"y", "z"}},
	}
	if diff := cmp.Diff(want, tr.introduction(), protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
	tr.request(cds, &discoveryv3.DeltaDiscoveryRequest{ResourceNamesSubscribe: []string{"one"}})
	if got := tr.introduce(cds).ResourceNamesSubscribe; !cmp.Equal(got, []string{"one", "*"}) {
		t.Errorf("all, and one by name: %v", got)
	}
}

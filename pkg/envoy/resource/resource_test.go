// SPDX-License-Identifier: Apache-2.0

package resource_test

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// The URLs are those of Envoy's own messages.
func TestURLs(t *testing.T) {
	messages := map[resource.Type]proto.Message{
		resource.Secret:   &tlsv3.Secret{},
		resource.Cluster:  &clusterv3.Cluster{},
		resource.Endpoint: &endpointv3.ClusterLoadAssignment{},
		resource.Listener: &listenerv3.Listener{},
		resource.Route:    &routev3.RouteConfiguration{},
	}
	for _, typ := range resource.Types() {
		packed, err := anypb.New(messages[typ])
		if err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		if got := typ.URL(); got != packed.TypeUrl {
			t.Errorf("URL of %s = %q, want %q", typ, got, packed.TypeUrl)
		}
		if got, ok := resource.TypeOf(packed.TypeUrl); !ok || got != typ {
			t.Errorf("TypeOf(%q) = %s, %t", packed.TypeUrl, got, ok)
		}
	}
	if got, ok := resource.TypeOf("type.googleapis.com/envoy.config.core.v3.Node"); ok {
		t.Errorf("TypeOf took a type that is not delivered for %s", got)
	}
}

// Equal content has an equal version, and other content another one.
func TestVersion(t *testing.T) {
	mk := func(name string) *resource.Resource {
		r, err := resource.New(resource.Cluster, name, &clusterv3.Cluster{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a, again, b := mk("a"), mk("a"), mk("b")
	if a.Version != again.Version || a.Version == b.Version {
		t.Errorf("versions %q, %q of equal content, %q of other", a.Version, again.Version, b.Version)
	}
	set := resource.Set{}
	for _, r := range []*resource.Resource{a, again, b} {
		if err := set.Add(r); err != nil {
			t.Error(err)
		}
	}
	other, _ := resource.New(resource.Cluster, "a", &clusterv3.Cluster{Name: "a", AltStatName: "x"})
	if err := set.Add(other); err == nil {
		t.Error("a second, different resource was taken under the same name")
	}
}

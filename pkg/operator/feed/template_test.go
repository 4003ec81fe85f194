// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"slices"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/template"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// TestTemplate: a template takes the place of the translation, and one that is refused
// changes nothing but the condition.
func TestTemplate(t *testing.T) {
	r := newRig(t)
	lb := r.lb()
	plain := resource.Key{Type: resource.Listener, Name: "tcp/80"}
	r.until("the translation", func() bool { return r.feed.Resource(shopID, plain) != nil })

	update := func(generation int64, version, listener string) {
		lb.Generation, lb.ResourceVersion = generation, version
		lb.Spec.EnvoyTemplate = &epicv1.EnvoyConfigSpec{Serialization: epicv1.SerializationYAML, EnvoyResources: epicv1.EnvoyResources{
			Clusters:  []epicv1.EnvoyResource{{Name: "c", Value: "{name: '{{.ClusterName}}', type: EDS}"}},
			Listeners: []epicv1.EnvoyResource{{Name: "l", Value: listener}},
		}}
		r.must(r.client.EpicV1().LoadBalancers(ns).Update(t.Context(), lb, metav1.UpdateOptions{}))
	}
	made := resource.Key{Type: resource.Listener, Name: "TCP-80"}
	update(2, "2", "{name: '{{.PortName}}', address: {socket_address: {address: '::', port_value: {{.Port}}}}}")
	r.until("the template", func() bool { return r.feed.Resource(shopID, made) != nil })
	if r.feed.Resource(shopID, plain) != nil {
		t.Error("the translation is served beside the template")
	}
	sets := r.server.count(shopID)

	update(3, "3", "{name: x, address: {pipe: {path: /run/x}}}")
	refused := func(p translate.Problem) bool {
		return p.Reason == template.ReasonRefused && p.Object.Name == "shop" && strings.Contains(p.Field, "address.pipe") &&
			strings.Contains(p.Message, "get the previous configuration")
	}
	r.until("the refusal", func() bool {
		o := r.feed.Outcome(shopID)
		return o.Generation == 3 && slices.ContainsFunc(o.Problems, refused)
	})
	if r.feed.Resource(shopID, made) == nil || r.server.count(shopID) != sets {
		t.Error("a refused template changed what is served")
	}
}

// TestRestored: an operator that starts next to a template that is refused gives new pods what
// those that run have, as far as a template may yield it, with the endpoints of now.
func TestRestored(t *testing.T) {
	spec := func(listener string) *epicv1.EnvoyConfigSpec {
		return &epicv1.EnvoyConfigSpec{Serialization: epicv1.SerializationYAML, EnvoyResources: epicv1.EnvoyResources{
			Clusters:  []epicv1.EnvoyResource{{Name: "c", Value: "{name: '{{.ClusterName}}', type: EDS, connect_timeout: 7s}"}},
			Listeners: []epicv1.EnvoyResource{{Name: "l", Value: listener}},
		}}
	}
	const accepted = "{name: '{{.PortName}}', address: {socket_address: {address: '::', port_value: {{.Port}}}}}"
	const refused = "{name: x, address: {pipe: {path: /run/x}}}"
	made := resource.Key{Type: resource.Listener, Name: "TCP-80"}
	put := func(r *rig, lb *epicv1.LoadBalancer, listener string) {
		lb.Spec.EnvoyTemplate = spec(listener)
		r.must(r.client.EpicV1().LoadBalancers(ns).Update(t.Context(), lb, metav1.UpdateOptions{}))
	}

	before := newRig(t)
	lb := before.lb()
	lb.Generation, lb.ResourceVersion = 2, "2"
	put(before, lb, accepted)
	before.until("the template", func() bool { return before.feed.Resource(shopID, made) != nil })
	var has []*resource.Resource
	served := before.server.config(shopID).Resources
	for _, one := range served {
		has = append(has, one)
	}
	hostile := func(typ resource.Type, name string, m proto.Message) {
		one, err := resource.New(typ, name, m)
		if err != nil {
			t.Fatal(err)
		}
		has = append(has, one)
	}
	at := func(address string, port uint32) *corev3.Address {
		return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port}}}}
	}
	hostile(resource.Listener, "other-port", &listenerv3.Listener{Name: "other-port", Address: at("192.0.2.1", 22)})
	hostile(resource.Listener, "other-address", &listenerv3.Listener{Name: "other-address", Address: at("192.0.2.9", 80)})
	hostile(resource.Listener, "other-name", &listenerv3.Listener{Name: "x", Address: at("192.0.2.1", 80)})
	hostile(resource.Cluster, "elsewhere", &clusterv3.Cluster{Name: "elsewhere", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}})
	hostile(resource.Cluster, "former", &clusterv3.Cluster{Name: "former", ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}})
	has = append(has, &resource.Resource{Type: resource.Listener, Name: "broken", Version: "1", Body: []byte{1, 2, 3}})

	r := newRig(t)
	r.endpoint("a", "10.0.0.1", "")
	lb = lb.DeepCopy()
	lb.Spec.EnvoyTemplate = spec(refused)
	r.must(r.client.EpicV1().LoadBalancers(ns).Create(t.Context(), lb, metav1.CreateOptions{}))
	r.until("nothing is known", func() bool { o := r.feed.Outcome(shopID); return o != nil && len(o.Problems) > 0 })
	if n := r.server.count(shopID); n != 0 {
		t.Errorf("%d configurations were sent though no pod tells", n)
	}
	r.kept.Store(&has)
	r.feed.Translate(shopID)
	r.until("the restored configuration", func() bool { return r.server.count(shopID) == 1 })
	got := r.server.config(shopID).Resources
	for key, want := range served {
		if key.Type != resource.Endpoint && (got[key] == nil || got[key].Version != want.Version) {
			t.Errorf("%v is not restored as it was", key)
		}
	}
	for key := range got {
		_, wanted := served[key]
		if !wanted && key != (resource.Key{Type: resource.Endpoint, Name: "former"}) && key != (resource.Key{Type: resource.Cluster, Name: "former"}) {
			t.Errorf("%v is restored", key)
		}
	}
	if own := got[resource.Key{Type: resource.Endpoint, Name: "c"}]; own == nil || !strings.Contains(string(own.Body), "10.0.0.1") {
		t.Errorf("the endpoints are %v", own)
	}
	if o := r.feed.Outcome(shopID); !slices.ContainsFunc(o.Problems, func(p translate.Problem) bool {
		return p.Reason == template.ReasonRefused && strings.Contains(p.Message, "the configuration of running ones")
	}) {
		t.Errorf("problems %v", o.Problems)
	}
	// It is not asked for again, and another object of the name gets nothing of it.
	r.feed.Translate(shopID)
	r.until("it is kept", func() bool {
		return slices.ContainsFunc(r.feed.Outcome(shopID).Problems, func(p translate.Problem) bool {
			return strings.Contains(p.Message, "get the previous configuration")
		})
	})
	if n := r.server.count(shopID); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
	lb.UID, lb.Generation, lb.ResourceVersion = "u2", 1, "9"
	r.must(r.client.EpicV1().LoadBalancers(ns).Update(t.Context(), lb, metav1.UpdateOptions{}))
	r.until("the other object", func() bool { return r.feed.Outcome(shopID).UID == "u2" })
	if n := r.server.count(shopID); n != 1 {
		t.Error("another object gets what was restored for the former one")
	}
}

// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"slices"
	"strings"
	"testing"

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
			strings.Contains(p.Message, "served the configuration from before")
	}
	r.until("the refusal", func() bool {
		o := r.feed.Outcome(shopID)
		return o.Generation == 3 && slices.ContainsFunc(o.Problems, refused)
	})
	if r.feed.Resource(shopID, made) == nil || r.server.count(shopID) != sets {
		t.Error("a refused template changed what is served")
	}
}

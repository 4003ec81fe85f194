// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	rt "github.com/acnodal/epic/pkg/registry/registrytest"
)

// Records follow what they are made of.
func TestRecordsFollowUpdates(t *testing.T) {
	w := rt.New(t)
	rt.Standard(w)
	group := rt.Group("epic", "named", "default")
	group.Spec.EndpointTemplate.DNSName = "{{.ClusterServiceName}}.{{.ClusterServiceNS}}.example.com"
	rt.MustCreate(w, group)
	p := rt.GWProxy("one", "a", "named")
	p.Spec.DisplayName, p.Spec.ClientRef.Namespace = "shop", "prod"
	p = rt.MustCreate(w, p)
	want := func(o *epic.GWProxy, records string) {
		t.Helper()
		if got := targets(o.Spec.Endpoints); got != records {
			t.Errorf("records %s, want %s", got, records)
		}
	}
	want(p, "shop.prod.example.com=A:192.0.2.1")
	// Whether a client writes the old records back or leaves them out.
	p.Spec.DisplayName = "store"
	preview, err := rt.Update(w, p, metav1.DryRunAll)
	if err != nil {
		t.Fatal(err)
	}
	want(preview, "store.prod.example.com=A:192.0.2.1")
	p = rt.MustUpdate(w, p)
	want(p, "store.prod.example.com=A:192.0.2.1")
	p.Spec.ClientRef.Namespace, p.Spec.Endpoints = "test", nil
	p = rt.MustUpdate(w, p)
	want(p, "store.test.example.com=A:192.0.2.1")
	// A write of the same changes nothing, whoever's targets it names.
	generation := p.Generation
	p.Spec.Endpoints = []epic.DNSEndpoint{{DNSName: "Store.Test.example.com", Targets: []string{"192.0.2.9"}}}
	p = rt.MustUpdate(w, p)
	want(p, "store.test.example.com=A:192.0.2.1")
	if p.Generation != generation {
		t.Errorf("generation %d, want %d", p.Generation, generation)
	}
	// The name that the change makes is right, others are not.
	p.Spec.DisplayName = "shop"
	p.Spec.Endpoints = []epic.DNSEndpoint{{DNSName: "shop.test.example.com"}}
	p = rt.MustUpdate(w, p)
	want(p, "shop.test.example.com=A:192.0.2.1")
	p.Spec.Endpoints = []epic.DNSEndpoint{{DNSName: "www.example.com"}}
	_, err = rt.Update(w, p)
	rt.Refused(t, err, "spec.endpoints[0].dnsName", "leave endpoints out")
	p.Spec.Endpoints = nil
	p.Spec.DisplayName = "no label"
	_, err = rt.Update(w, p)
	rt.Refused(t, err, "spec.display-name", "choose a display-name")
	p.Spec.DisplayName = "shop"

	// The group as it is then decides.
	group, err = rt.Get(w, group)
	if err != nil {
		t.Fatal(err)
	}
	group.Spec.EndpointTemplate.DNSName = ""
	rt.MustUpdate(w, group)
	if p, err = rt.Get(w, p); err != nil {
		t.Fatal(err)
	}
	p.Spec.PublicPorts = append(p.Spec.PublicPorts, epic.ServicePort{Port: 443, Protocol: "TCP"})
	p = rt.MustUpdate(w, p)
	want(p, "shop.test.example.com=A:192.0.2.1")
	p.Spec.DisplayName = "other"
	p = rt.MustUpdate(w, p)
	want(p, "")
	p.Spec.Endpoints = []epic.DNSEndpoint{{DNSName: "www.example.com"}}
	_, err = rt.Update(w, p)
	rt.Refused(t, err, "spec.endpoints", "has no DNS name")
}

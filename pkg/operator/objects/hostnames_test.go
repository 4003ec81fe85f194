// SPDX-License-Identifier: Apache-2.0

package objects

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned/fake"
)

// A hostname of an older proxy on another address is found, whether a listener or a route
// has it, and whatever its case; wildcards and other accounts are not.
func TestSharedHostnames(t *testing.T) {
	born := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	gw := func(namespace, name string, age int, address string, hostnames ...gatewayv1.Hostname) *epicv1.GWProxy {
		o := &epicv1.GWProxy{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, CreationTimestamp: metav1.NewTime(born.Add(time.Duration(age) * time.Hour))}}
		o.Spec.PublicAddress, o.Spec.Gateway = address, &epicv1.GatewaySpec{}
		for _, h := range hostnames {
			o.Spec.Gateway.Listeners = append(o.Spec.Gateway.Listeners, gatewayv1.Listener{Hostname: &h})
		}
		return o
	}
	route := func(name, parent string, hostnames ...gatewayv1.Hostname) *epicv1.GWRoute {
		o := &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-a", Name: name}, Spec: epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{}}}
		o.Spec.HTTP.Hostnames, o.Spec.HTTP.ParentRefs = hostnames, []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(parent)}}
		return o
	}
	s, err := New(fake.NewClientset(
		gw("epic-a", "first", 1, "192.0.2.1", "shop.example", "*.example"),
		gw("epic-a", "second", 2, "192.0.2.2", "SHOP.example", "*.example", "own.example"),
		gw("epic-a", "third", 3, "192.0.2.3", "shop.example"),
		gw("epic-a", "routed", 4, "192.0.2.4"),
		gw("epic-a", "same", 5, "192.0.2.1", "shop.example"),
		gw("epic-b", "other", 6, "192.0.2.5", "shop.example"),
		route("r1", "first", "blog.example"), route("r2", "routed", "blog.example", "shop.example", "*.example"), route("r3", "gone", "own.example"),
	), 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Start(t.Context().Done())
	if !cache.WaitForCacheSync(t.Context().Done(), s.Synced) {
		t.Fatal("the store is not filled")
	}
	for key, want := range map[string]string{
		"epic-a/first": "", "epic-a/second": "shop.example first", "epic-a/third": "shop.example first",
		"epic-a/routed": "blog.example first, shop.example first", "epic-a/same": "shop.example second", "epic-b/other": "",
	} {
		namespace, name, _ := strings.Cut(key, "/")
		var got []string
		for _, shared := range s.SharedHostnames(s.GWProxy(namespace, name)) {
			got = append(got, fmt.Sprintf("%s %s", shared.Hostname, shared.Older.Name))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s: %q, want %q", key, text, want)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

func mk(t *testing.T, typ resource.Type, name string, m proto.Message) *resource.Resource {
	t.Helper()
	r, err := resource.New(typ, name, m)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func route(t *testing.T, name, regex string) *resource.Resource {
	return mk(t, resource.Route, name, routes(name, regex))
}

// routes lead to a cluster that no Envoy of these tests has.
func routes(name, regex string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: name, ValidateClusters: wrapperspb.Bool(true),
		VirtualHosts: []*routev3.VirtualHost{{Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: regex}}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "elsewhere"}}},
		}}}},
	}
}

func listener(t *testing.T, name string, chain *listenerv3.FilterChain) *resource.Resource {
	return managed(t, name, chain, &hcmv3.HttpConnectionManager{
		StatPrefix: name, RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: resource.ADS(), RouteConfigName: name}},
	})
}

// inline is a listener that has its routes itself, as those of templates may.
func inline(t *testing.T, name, regex string) *resource.Resource {
	router, err := anypb.New(&routerv3.Router{})
	if err != nil {
		t.Fatal(err)
	}
	return managed(t, name, &listenerv3.FilterChain{}, &hcmv3.HttpConnectionManager{
		StatPrefix: name, RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes(name, regex)},
		HttpFilters: []*hcmv3.HttpFilter{{Name: "router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router}}},
	})
}

func managed(t *testing.T, name string, chain *listenerv3.FilterChain, m *hcmv3.HttpConnectionManager) *resource.Resource {
	manager, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	chain.Filters = []*listenerv3.Filter{{Name: "envoy.filters.network.http_connection_manager", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager}}}
	return mk(t, resource.Listener, name, &listenerv3.Listener{
		Name: name, FilterChains: []*listenerv3.FilterChain{chain},
		// An address that this machine does not have: nothing is bound.
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Address: "192.0.2.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 443},
		}}},
	})
}

func cluster(t *testing.T, name string, change func(*clusterv3.Cluster)) *resource.Resource {
	c := &clusterv3.Cluster{
		Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: resource.ADS()},
	}
	if change != nil {
		change(c)
	}
	return mk(t, resource.Cluster, name, c)
}

// A real Envoy distinguishes good from bad, and the bad are found among the good.
func TestCheck(t *testing.T) {
	v := New(Options{Envoy: envoytest.Path(t), Dir: t.TempDir()})
	all := []*resource.Resource{
		route(t, "good", "/a.*"), route(t, "bad", "(unclosed"), route(t, "good too", "/b"),
		cluster(t, "good", nil), cluster(t, "bad", func(c *clusterv3.Cluster) { c.EdsClusterConfig = nil }),
		listener(t, "good", &listenerv3.FilterChain{}),
		listener(t, "bad", &listenerv3.FilterChain{FilterChainMatch: &listenerv3.FilterChainMatch{ServerNames: []string{"a.*.example.com"}}}),
		inline(t, "inline", "/a.*"), inline(t, "bad inline", "(unclosed"),
		{Type: resource.Route, Name: "garbage", Version: "g", Body: []byte("\xff\xff\xff")},
		{Type: resource.Endpoint, Name: "not checked", Version: "e", Body: []byte("\xff\xff\xff")},
	}
	want := map[resource.Key]string{
		{Type: resource.Route, Name: "bad"}:           "unclosed",
		{Type: resource.Cluster, Name: "bad"}:         "EDS",
		{Type: resource.Listener, Name: "bad"}:        "wildcards",
		{Type: resource.Listener, Name: "bad inline"}: "unclosed",
		{Type: resource.Route, Name: "garbage"}:       "can't be decoded",
	}
	began := time.Now()
	refused, err := v.Check(t.Context(), all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("checked in %s", time.Since(began).Round(time.Millisecond))
	for k, text := range refused {
		if want[k] == "" || !strings.Contains(text, want[k]) || strings.Contains(text, "epic-validate-") || strings.Contains(text, "bootstrap") {
			t.Errorf("%s %s: %s", k.Type, k.Name, text)
		}
	}
	if len(refused) != len(want) {
		t.Errorf("refused: %v", refused)
	}
	v.run = func(context.Context, []*resource.Resource) (string, error) { return "", errors.New("asked again") }
	if again, err := v.Check(t.Context(), all...); err != nil || len(again) != len(want) {
		t.Errorf("asked again: %v, %v", again, err)
	}
}

// What could not be checked has no verdict, and is asked again.
func TestCheckFails(t *testing.T) {
	v := New(Options{Envoy: "/nonexistent/envoy", Dir: t.TempDir()})
	r := route(t, "a", "/")
	if refused, err := v.Check(t.Context(), r); err == nil || len(refused) > 0 {
		t.Errorf("without an Envoy: %v, %v", refused, err)
	}
	v.run = func(context.Context, []*resource.Resource) (string, error) { return "I refuse everything", nil }
	if refused, err := v.Check(t.Context(), r); err == nil || !strings.Contains(err.Error(), "even an empty configuration: I refuse") || len(refused) > 0 {
		t.Errorf("with an Envoy that is no use: %v, %v", refused, err)
	}
	v.run = func(_ context.Context, rs []*resource.Resource) (string, error) {
		if len(rs) == 0 {
			return "", nil
		}
		return "no", nil
	}
	if refused, err := v.Check(t.Context(), r); err != nil || refused[r.Key()] != "no" {
		t.Errorf("afterwards: %v, %v", refused, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v.slots <- struct{}{}
	if _, err := v.Check(ctx, route(t, "b", "/b")); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that left: %v", err)
	}
}

// Many callers with the same content cost one question, one at a time, and the cache is
// bounded.
func TestCheckConcurrent(t *testing.T) {
	v := New(Options{CacheSize: 100})
	var mu sync.Mutex
	asked, running := map[string]int{}, 0
	v.run = func(_ context.Context, rs []*resource.Resource) (string, error) {
		mu.Lock()
		running++
		if running > 1 {
			t.Error("two run at once")
		}
		for _, r := range rs {
			asked[r.Version]++
		}
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		running--
		mu.Unlock()
		return "", nil
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 20 {
				if _, err := v.Check(t.Context(), &resource.Resource{Type: resource.Route, Name: "r", Version: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for version, n := range asked {
		if n > 1 {
			t.Errorf("version %s was asked about %d times", version, n)
		}
	}
	for i := range 1000 {
		v.answers.Add(content{version: fmt.Sprint(i)}, "")
	}
	if n := v.answers.Len(); n > 100 {
		t.Errorf("%d answers are kept", n)
	}
}

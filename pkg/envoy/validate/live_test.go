// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	udpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/udp_proxy/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/acnodal/epic/pkg/envoy/envoytest"
	"github.com/acnodal/epic/pkg/envoy/resource"
)

// standing returns a validator whose standing Envoy is connected, and which starts no other.
func standing(t *testing.T) *Validator {
	t.Helper()
	v := New(Options{Envoy: envoytest.Path(t), LiveTimeout: 30 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	await(t, v)
	v.run = func(context.Context, []*resource.Resource) (string, error) {
		return "", errors.New("another Envoy was started")
	}
	return v
}

// await waits until the standing Envoy is connected.
func await(t *testing.T, v *Validator) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if !v.Connected(ctx) {
		t.Fatal("the standing Envoy does not connect")
	}
}

func tlsContext(t *testing.T, m proto.Message) *corev3.TransportSocket {
	t.Helper()
	packed, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed}}
}

func udpListener(t *testing.T, name, cluster string) *resource.Resource {
	t.Helper()
	packed, err := anypb.New(&udpproxyv3.UdpProxyConfig{StatPrefix: "udp", RouteSpecifier: &udpproxyv3.UdpProxyConfig_Cluster{Cluster: cluster}}) //nolint:staticcheck // shorter than a matcher
	if err != nil {
		t.Fatal(err)
	}
	return mk(t, resource.Listener, name, &listenerv3.Listener{
		Name: name, UdpListenerConfig: &listenerv3.UdpListenerConfig{},
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Protocol: corev3.SocketAddress_UDP, Address: "192.0.2.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 53},
		}}},
		ListenerFilters: []*listenerv3.ListenerFilter{{Name: "udp", ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: packed}}},
	})
}

// The standing Envoy distinguishes good from bad as one that is started does, and waits neither
// for endpoints nor for secrets, which it never gets.
func TestLive(t *testing.T) {
	v := standing(t)
	sds := []*tlsv3.SdsSecretConfig{{Name: "shop", SdsConfig: resource.ADS()}}
	all := []*resource.Resource{
		route(t, "good", "/a.*"), route(t, "bad", "(unclosed"), route(t, "good too", "/b"),
		cluster(t, "good", nil), cluster(t, "bad", func(c *clusterv3.Cluster) { c.EdsClusterConfig = nil }),
		cluster(t, "secure", func(c *clusterv3.Cluster) {
			c.TransportSocket = tlsContext(t, &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: sds}})
		}),
		listener(t, "good", &listenerv3.FilterChain{}),
		// The same address: one of a port's listeners may take the place of another.
		listener(t, "same address", &listenerv3.FilterChain{Name: "x"}),
		listener(t, "secure", &listenerv3.FilterChain{
			TransportSocket: tlsContext(t, &tlsv3.DownstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: sds}}),
		}),
		udpListener(t, "udp", "somewhere"), udpListener(t, "bad udp", ""),
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
		{Type: resource.Listener, Name: "bad udp"}:    "",
		{Type: resource.Route, Name: "garbage"}:       "can't be decoded",
	}
	began := time.Now()
	refused, err := v.Check(t.Context(), all...)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("checked in %s", time.Since(began).Round(time.Millisecond))
	for k, text := range refused {
		if w, ok := want[k]; !ok || !strings.Contains(text, w) || strings.Contains(text, "route-") || strings.Contains(text, "listener-") {
			t.Errorf("%s %s: %s", k.Type, k.Name, text)
		}
	}
	for k := range want {
		if refused[k] == "" {
			t.Errorf("%s %s is not refused", k.Type, k.Name)
		}
	}
	// Nothing stays with the Envoy, and nothing is asked twice.
	l := v.live.Load()
	if len(l.open) > 0 || len(l.set) > 0 {
		t.Errorf("%d questions and %d resources are left", len(l.open), len(l.set))
	}
	asked := l.asked
	if again, err := v.Check(t.Context(), all...); err != nil || len(again) != len(want) || l.asked != asked {
		t.Errorf("asked again: %v, %v, %d questions", again, err, l.asked-asked)
	}
}

// Callers at once get answers about their own resources, whoever asks about the same.
func TestLiveConcurrent(t *testing.T) {
	v := standing(t)
	var all sync.WaitGroup
	var mu sync.Mutex
	var took []time.Duration
	for caller := range 8 {
		all.Go(func() {
			for i := range 20 {
				// Half of the resources are the same for all callers.
				mine, shared := route(t, "mine", fmt.Sprintf("/%d/%d", caller, i)), route(t, "shared", fmt.Sprintf("/%d", i))
				bad := route(t, "bad", fmt.Sprintf("(%d", i/2*2))
				began := time.Now()
				refused, err := v.Check(t.Context(), mine, shared, bad)
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
				if err != nil || len(refused) != 1 || refused[bad.Key()] == "" {
					t.Errorf("refused %v, %v", refused, err)
				}
			}
		})
	}
	all.Wait()
	slices.Sort(took)
	t.Logf("a check took %s in the median, %s at most", took[len(took)/2], took[len(took)-1])
}

// An Envoy that dies or hangs costs no answer: another one is started for the question,
// and the standing one comes back.
func TestLiveDies(t *testing.T) {
	v := standing(t)
	var started int
	v.run = func(_ context.Context, rs []*resource.Resource) (string, error) {
		started++
		return "", nil
	}
	l := v.live.Load()
	l.mu.Lock()
	first := l.process.Pid
	l.mu.Unlock()
	l.kill()
	for i := range 100 {
		if refused, err := v.Check(t.Context(), route(t, "a", fmt.Sprintf("/%d", i))); err != nil || len(refused) > 0 {
			t.Fatalf("while it is away: %v, %v", refused, err)
		}
	}
	if started == 0 {
		t.Error("no other Envoy was started while it was away")
	}
	await(t, v)
	l.mu.Lock()
	again := l.process.Pid
	l.mu.Unlock()
	if again == first {
		t.Error("the dead Envoy is still the one")
	}
	// It does not answer in time.
	before := started
	l.options.LiveTimeout = time.Nanosecond
	if refused, err := v.Check(t.Context(), route(t, "a", "/slow")); err != nil || len(refused) > 0 || started == before {
		t.Errorf("when it hangs: %v, %v, %d others were started", refused, err, started-before)
	}
}

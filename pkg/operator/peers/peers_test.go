// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/proxyagent"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// local knows pod a.
type local struct{}

func (local) State(proxyidentity.Proxy) xds.State {
	return xds.State{Set: true, Pods: []xds.PodState{{Pod: "a", Current: true}}}
}

func (local) Accepted(proxyidentity.Proxy, resource.Key) map[string]string {
	return map[string]string{"a": "v2"}
}

// What pods state that are connected to another replica is as good as what is known here;
// pods that do not answer are left out.
func TestStates(t *testing.T) {
	id := proxyidentity.Proxy{Namespace: "epic-a", Kind: "LoadBalancer", Name: "shop"}
	var asked atomic.Int32
	config := proxyagent.Config{OperatorConnected: true, Envoy: proxyagent.EnvoyStatus{Version: "1.2.3"}, Resources: []proxyagent.ConfigResource{
		{Type: "listener", Name: "tcp/80", Sent: "v2", Accepted: "v2"},
		{Type: "route", Name: "web", Sent: "v2", Accepted: "v1", Refusal: "bad regex"},
	}}
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path != "/config" {
			t.Errorf("it is asked for %s", r.URL)
		}
		_ = json.NewEncoder(w).Encode(config)
	}))
	t.Cleanup(server.Close)
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	source := resource.Source{Kind: "GWRoute", Namespace: "epic-a", Name: "r"}
	var verified []string
	s := &States{
		Local: local{}, Port: at.Port(),
		Pods: func(proxyidentity.Proxy) []Pod {
			return []Pod{{"a", at.Addr()}, {"b", at.Addr()}, {"c", netip.MustParseAddr("127.0.0.9")}}
		},
		TLS: func(who proxyidentity.Identity) *tls.Config {
			if who.Pod == "b" {
				verified = append(verified, who.String())
			}
			return &tls.Config{InsecureSkipVerify: true}
		},
		Resource: func(_ proxyidentity.Proxy, key resource.Key) *resource.Resource {
			if key == (resource.Key{Type: resource.Route, Name: "web"}) {
				return &resource.Resource{Type: resource.Route, Name: "web", Sources: []resource.Source{source}}
			}
			return nil
		},
	}
	state := s.State(id)
	if len(state.Pods) != 2 || state.Pods[0].Pod != "a" || state.Pods[1].Pod != "b" || !state.Pods[1].Current {
		t.Fatalf("%+v", state)
	}
	if v := state.Pods[1].Version.String(); v != "1.2.3" {
		t.Errorf("version %s", v)
	}
	if r := state.Pods[1].Refused; len(r) != 1 || r[0].Text != "bad regex" || r[0].Resource.Sources[0] != source {
		t.Errorf("refusals %+v", r)
	}
	if got := fmt.Sprint(s.Accepted(id, resource.Key{Type: resource.Listener, Name: "tcp/80"})); got != "map[a:v2 b:v2]" {
		t.Errorf("accepted %s", got)
	}
	// One question for one look; none to the pod that is connected here.
	if n := asked.Load(); n != 1 || len(verified) != 1 {
		t.Errorf("%d questions, for %v", n, verified)
	}
	// A change that it has not answered yet.
	config.Resources[0].Sent = "v3"
	s.answers = nil
	if state := s.State(id); state.Pods[1].Current {
		t.Error("a pod is said to be current that is not")
	}
}

// What an Envoy has accepted is asked of every pod, and told without secrets. The first pod
// by name that has a listener counts.
func TestKept(t *testing.T) {
	id := proxyidentity.Proxy{Namespace: "epic-a", Kind: "LoadBalancer", Name: "shop"}
	of := func(r resource.Type, name string) proxyagent.ConfigResource {
		return proxyagent.ConfigResource{Type: r.String(), Name: name, Accepted: "v1", TypeURL: r.URL(), Body: []byte(name)}
	}
	answers := []proxyagent.Config{
		{Resources: []proxyagent.ConfigResource{of(resource.Cluster, "new")}},
		{Resources: []proxyagent.ConfigResource{of(resource.Listener, "l"), of(resource.Cluster, "c"), of(resource.Secret, "s"), {Type: "route", Name: "no body", Accepted: "v1"}}},
		{Resources: []proxyagent.ConfigResource{of(resource.Listener, "other")}},
	}
	var pods []Pod
	port := uint16(0)
	for i, answer := range answers {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !r.URL.Query().Has("bodies") {
				t.Errorf("it is asked for %s", r.URL)
			}
			_ = json.NewEncoder(w).Encode(answer)
		}))
		_ = server.Listener.Close()
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", fmt.Sprintf("127.0.0.%d:%d", i+1, port))
		if err != nil {
			t.Fatal(err)
		}
		server.Listener = listener
		server.StartTLS()
		t.Cleanup(server.Close)
		at := netip.MustParseAddrPort(listener.Addr().String())
		port = at.Port()
		pods = append(pods, Pod{string(rune('a' + i)), at.Addr()})
	}
	s := &States{
		Port: port, Pods: func(proxyidentity.Proxy) []Pod { return append(pods, Pod{"d", netip.MustParseAddr("127.0.0.9")}) },
		TLS: func(proxyidentity.Identity) *tls.Config { return &tls.Config{InsecureSkipVerify: true} },
	}
	var got []string
	for _, r := range s.Kept(t.Context(), id) {
		got = append(got, fmt.Sprintf("%s %s %s", r.Key().Type, r.Name, r.Body))
	}
	if fmt.Sprint(got) != "[listener l l cluster c c]" {
		t.Errorf("got %v", got)
	}
	pods = nil
	if has := s.Kept(t.Context(), id); has != nil {
		t.Errorf("without pods: %v", has)
	}
}

// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// begin starts a session whose client has asked for everything.
func begin(t *testing.T, c *configuration, names ...string) *Session {
	t.Helper()
	s := NewSession(c, DefaultOptions())
	for _, typ := range resource.Types() {
		r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typ.URL(), InitialResourceVersions: map[string]string{"had": "0"}}
		if !typ.Wildcard() {
			r.ResourceNamesSubscribe = names
		}
		if _, err := s.Request(r, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (c *configuration) put(r *resource.Resource) resource.Key {
	c.set[r.Key()] = NewEntry(r, time.Time{})
	return r.Key()
}

func newConfiguration() *configuration {
	c := &configuration{ready: true, set: map[resource.Key]*Entry{}}
	for _, typ := range resource.Types() {
		if typ.Wildcard() {
			c.put(&resource.Resource{Type: typ, Name: "had", Version: "0"})
		}
	}
	return c
}

// A change of endpoints goes before everything that could be sent, and does not wait for
// what is on its way.
func TestEndpointsFirst(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newConfiguration()
	for _, name := range strings.Split("abcdefghij", "") {
		c.put(&resource.Resource{Type: resource.Secret, Name: name, Version: "1", Body: make([]byte, 200<<10)})
	}
	s := begin(t, c, strings.Split("abcdefghij", "")...)
	next, _ := s.Next(now)
	if next == nil || next.Type != resource.Secret || len(next.Entries) != 1 {
		t.Fatalf("a response of %+v", next)
	}
	s.Changed(c.put(&resource.Resource{Type: resource.Endpoint, Name: "a", Version: "1"}))
	urgent, _ := s.Next(now)
	if urgent == nil || urgent.Type != resource.Endpoint {
		t.Fatalf("the endpoints wait: %+v", urgent)
	}
	if again, _ := s.Next(now); again != nil {
		t.Errorf("a second response of a type is sent: %+v", again)
	}
	// Further changes are sent as one when the answer is there.
	for _, version := range []string{"2", "3"} {
		s.Changed(c.put(&resource.Resource{Type: resource.Endpoint, Name: "a", Version: version}))
	}
	if _, err := s.Request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Endpoint.URL(), ResponseNonce: urgent.Nonce}, now); err != nil {
		t.Fatal(err)
	}
	if next, _ := s.Next(now); next == nil || next.Type != resource.Endpoint || next.Entries[0].Version != "3" {
		t.Errorf("the latest endpoints are not next: %+v", next)
	}
}

// A refused version is sent again only after a change of something else, alone, and less
// and less often.
func TestRetryRefused(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newConfiguration()
	c.put(&resource.Resource{Type: resource.Route, Name: "a", Version: "1"})
	s := NewSession(c, DefaultOptions())
	if _, err := s.Request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Route.URL(), ResourceNamesSubscribe: []string{"a"}}, now); err != nil {
		t.Fatal(err)
	}
	refuse := func() {
		t.Helper()
		next, _ := s.Next(now)
		if next == nil || len(next.Entries) != 1 {
			t.Fatalf("at %s: %+v", now, next)
		}
		if _, err := s.Request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: next.Type.URL(), ResponseNonce: next.Nonce, ErrorDetail: &statuspb.Status{Message: "no"}}, now); err != nil {
			t.Fatal(err)
		}
	}
	refuse()
	for range 3 {
		now = now.Add(time.Hour)
		if next, wake := s.Next(now); next != nil || !wake.IsZero() {
			t.Fatalf("without a change: %+v, %s", next, wake)
		}
	}
	s.Restructured()
	refuse()
	for tries := 2; tries < 12; tries++ {
		s.Restructured()
		next, wake := s.Next(now)
		want := min(time.Second<<(tries-1), 5*time.Minute)
		if next != nil || wake.Sub(now) != want {
			t.Fatalf("after %d refusals: %+v, %s, want %s", tries, next, wake.Sub(now), want)
		}
		now = wake
		refuse()
	}
	if events := s.TakeEvents(); len(events.Refused) != 1 {
		t.Errorf("the same refusal is reported %d times", len(events.Refused))
	}
	if all := s.Refused(); len(all) != 1 || all[0].Text != "no" {
		t.Errorf("refused: %+v", all)
	}
	s.Changed(c.put(&resource.Resource{Type: resource.Route, Name: "a", Version: "2"}))
	if next, _ := s.Next(now); next == nil || len(s.Refused()) > 0 {
		t.Errorf("a new version is not tried at once: %+v", next)
	}
}

// A client that has nothing gets a first answer even if there is nothing to send; one
// that has something does not.
func TestGreeting(t *testing.T) {
	now := time.Unix(1000, 0)
	s := NewSession(&configuration{ready: true}, DefaultOptions())
	if _, err := s.Request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Cluster.URL()}, now); err != nil {
		t.Fatal(err)
	}
	next, _ := s.Next(now)
	if next == nil || next.Type != resource.Cluster || len(next.Entries)+len(next.Removed) > 0 {
		t.Errorf("the first answer is %+v", next)
	}
	s = NewSession(&configuration{}, DefaultOptions())
	if _, err := s.Request(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: resource.Cluster.URL()}, now); err != nil {
		t.Fatal(err)
	}
	if next, _ := s.Next(now); next != nil {
		t.Errorf("without a configuration: %+v", next)
	}
	s = begin(t, newConfiguration())
	if next, _ := s.Next(now); next != nil {
		t.Errorf("a client that has everything gets %+v", next)
	}
}

func TestMentions(t *testing.T) {
	for _, test := range []struct {
		text, name string
		want       bool
	}{
		{"web: no such filter", "web", true},
		{"Error adding/updating listener(s) web: x, api: y", "api", true},
		{"web-2: x", "web", false},
		{"the-web: x", "web", false},
		{"web-2: x, web: y", "web", true},
		{"", "web", false},
		{"web", "", false},
	} {
		if got := mentions(test.text, test.name); got != test.want {
			t.Errorf("%q mentions %q: %t", test.text, test.name, got)
		}
	}
}

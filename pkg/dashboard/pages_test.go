// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/dashboard/live"
	"github.com/acnodal/epic/pkg/overview"
)

// Each page of each example is rendered.
func TestPages(t *testing.T) {
	for name, paths := range views {
		s := serve(t, Options{Feed: feedOf(modelOf(t, name)), Rates: fixedRates{}})
		for _, path := range paths {
			response, body := s.get(t, path, nil)
			if want := map[bool]int{true: http.StatusNotFound, false: http.StatusOK}[path == "nothing"]; response.StatusCode != want || len(lacks(body, "<h1>", "</html>")) > 0 {
				t.Errorf("%s %q: %s\n%s", name, path, response.Status, body)
			}
		}
	}
}

// What tenants write is shown as text, whatever it is.
func TestHostileText(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`
	m := modelOf(t, "tunnels-down")
	a := m.Accounts[0]
	p := a.Proxies[0]
	p.DisplayName, p.Group, p.DNSNames, p.Ports = evil, evil, []string{evil}, []string{evil}
	p.Routes = []overview.Route{{Name: evil, Hostnames: []string{evil}, State: overview.Bad, Status: evil}}
	p.Pods[0].Name, p.Pods[0].Status, p.ClientNodes[0].Endpoints[0].Object = evil, evil, evil
	p.Conditions[0].Message, p.Conditions[0].Reason = evil, evil
	p.Rejection = &v1.EnvoyRejection{Message: evil, Resource: evil}
	p.Faults[0].Message, p.Faults[0].Subject, p.Faults[0].Key, p.Faults[0].Name = evil, evil, evil, evil
	m.Faults = p.Faults
	m.Unread = []overview.Unread{{Message: evil}}
	f := feedOf(m)
	f.now.Connected, f.now.Error = false, evil
	s := serve(t, Options{Feed: f, Server: evil})
	for _, path := range []string{"", "problems?q=" + url.QueryEscape(evil), "proxies", "accounts/epic-acme", "accounts/epic-acme/loadbalancer/shop", "accounts/" + url.PathEscape(evil)} {
		_, body := s.get(t, path, nil)
		if strings.Contains(body, "<script>alert") || strings.Contains(body, "<img") || !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("%s:\n%s", path, body)
		}
	}
}

// The page reports that the API is away and keeps the last state.
func TestAway(t *testing.T) {
	f := feedOf(modelOf(t, "healthy"))
	s := serve(t, Options{Feed: f})
	f.set(func(s *live.Snapshot) { s.Connected, s.Error = false, "connection refused" })
	_, body := s.get(t, "", nil)
	if missing := lacks(body, "The API does not answer", "connection refused", "203.0.113.1", `data-state="bad">Away`); missing != nil {
		t.Errorf("%q is missing:\n%s", missing, body)
	}
	f.set(func(s *live.Snapshot) { s.Connected = true })
	if _, body := s.get(t, "", nil); strings.Contains(body, "The API does not answer") {
		t.Error("It still says so")
	}
}

// A tenant sees what it may see, and what it may not.
func TestTenant(t *testing.T) {
	s := serve(t, Options{Feed: feedOf(modelOf(t, "tenant")), Accounts: []string{"acme"}})
	_, body := s.get(t, "", nil)
	if missing := lacks(body, "Account acme", "1 part is not shown", "You may not list gatewaynodes.epic.acnodal.io in namespace epic", "ask an administrator"); missing != nil {
		t.Errorf("%q is missing:\n%s", missing, body)
	}
	for _, part := range []string{">Addresses<", ">Gateway nodes<"} {
		if strings.Contains(body, part) {
			t.Errorf("It has %s", part)
		}
	}
}

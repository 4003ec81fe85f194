// SPDX-License-Identifier: Apache-2.0

package announce

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/host"
)

func delivered() host.Announcements {
	return host.Announcements{
		Routes:    []netip.Prefix{netip.MustParsePrefix("203.0.113.0/28"), netip.MustParsePrefix("2001:db8:5::5/128")},
		Addresses: []netip.Addr{netip.MustParseAddr("203.0.113.5"), netip.MustParseAddr("2001:db8:5::5")},
	}
}

func router(name, address string, change ...func(*epicv1.BGPPeer)) epicv1.BGPPeer {
	p := epicv1.BGPPeer{Name: name, Address: address, ASN: 64512, Port: 179, HoldTimeSeconds: 90, MaxPrefixes: 100}
	for _, f := range change {
		f(&p)
	}
	return p
}

func on(labels ...string) func(*epicv1.BGPPeer) {
	return func(p *epicv1.BGPPeer) {
		p.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{}}
		for i := 0; i < len(labels); i += 2 {
			p.NodeSelector.MatchLabels[labels[i]] = labels[i+1]
		}
	}
}

func password(name string) func(*epicv1.BGPPeer) {
	return func(p *epicv1.BGPPeer) { p.PasswordName = name }
}

func TestMake(t *testing.T) {
	this := Node{Address: netip.MustParseAddr("192.0.2.40"), Name: "gw-1", Labels: map[string]string{"rack": "a", "kubernetes.io/hostname": "gw-1"}}
	for name, test := range map[string]struct {
		peers []epicv1.BGPPeer
		// sessions are the names of peers with a session, routes those that are announced.
		sessions, routes string
		unready, problem string
	}{
		"no peers":       {nil, "", "", "", ""},
		"one of each":    {[]epicv1.BGPPeer{router("a", "192.0.2.1"), router("b", "2001:db8::1")}, "a b", "203.0.113.0/28 2001:db8:5::5/128", "", ""},
		"a family":       {[]epicv1.BGPPeer{router("a", "192.0.2.1")}, "a", "203.0.113.0/28", "", ""},
		"another family": {[]epicv1.BGPPeer{router("b", "2001:db8::1")}, "b", "2001:db8:5::5/128", "", ""},
		"this rack":      {[]epicv1.BGPPeer{router("a", "192.0.2.1", on("rack", "a")), router("b", "192.0.2.2", on("rack", "b"))}, "a", "203.0.113.0/28", "", ""},
		"this node":      {[]epicv1.BGPPeer{router("a", "192.0.2.1", on("kubernetes.io/hostname", "gw-1"))}, "a", "203.0.113.0/28", "", ""},
		"all nodes":      {[]epicv1.BGPPeer{router("a", "192.0.2.1", on())}, "a", "203.0.113.0/28", "", ""},
		"one address in two racks": {
			[]epicv1.BGPPeer{router("a", "192.0.2.1", on("rack", "a")), router("b", "192.0.2.1", on("rack", "b"))}, "a", "203.0.113.0/28", "", "",
		},
		"one address twice":     {[]epicv1.BGPPeer{router("a", "192.0.2.1"), router("b", "192.0.2.1")}, "a", "203.0.113.0/28", "", "its address 192.0.2.1 is also that of a"},
		"a password":            {[]epicv1.BGPPeer{router("a", "192.0.2.1", password("known"))}, "a", "203.0.113.0/28", "", ""},
		"a missing password":    {[]epicv1.BGPPeer{router("a", "192.0.2.1", password("other"))}, "", "", "a", "BGP peer a: no such password"},
		"another's password":    {[]epicv1.BGPPeer{router("a", "192.0.2.1", password("other"), on("rack", "b"))}, "", "", "", ""},
		"an impossible address": {[]epicv1.BGPPeer{router("a", "fe80::1%eth0"), router("b", "x"), router("c", "192.0.2.3")}, "c", "203.0.113.0/28", "", "not an IP address"},
		"an impossible number":  {[]epicv1.BGPPeer{router("a", "192.0.2.1", func(p *epicv1.BGPPeer) { p.ASN = 1 << 32 })}, "", "", "", "not an autonomous system number"},
		"an impossible selector": {[]epicv1.BGPPeer{router("a", "192.0.2.1", func(p *epicv1.BGPPeer) {
			p.NodeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}
		})}, "", "", "", "node-selector"},
	} {
		p := Make(Config{BGP: &epicv1.BGP{ASN: 64513, Communities: []string{"1:2"}, GracefulRestartSeconds: ptr.To[int32](7), Peers: test.peers}}, this, delivered(), func(name string) (string, error) {
			if name != "known" {
				return "", errors.New("no such password")
			}
			return "secret", nil
		})
		var sessions, unready []string
		for _, s := range p.Speaker.Peers {
			sessions = append(sessions, s.Name)
			if s.GracefulRestart != 7*time.Second {
				t.Errorf("%s: graceful restart %s", name, s.GracefulRestart)
			}
		}
		for _, s := range p.Unready {
			unready = append(unready, s.Name)
		}
		if got := strings.Join(sessions, " "); got != test.sessions {
			t.Errorf("%s: sessions %q, want %q", name, got, test.sessions)
		}
		if got := strings.Trim(fmt.Sprint(p.Speaker.Routes), "[]"); got != test.routes {
			t.Errorf("%s: routes %q, want %q", name, got, test.routes)
		}
		if got := strings.Join(unready, " "); got != test.unready {
			t.Errorf("%s: unready %q, want %q", name, got, test.unready)
		}
		if got := strings.Join(p.Problems, "; "); test.problem == "" && got != "" || !strings.Contains(got, test.problem) {
			t.Errorf("%s: problems %q, want %q", name, got, test.problem)
		}
	}
	if p := Make(Config{}, this, delivered(), nil); len(p.Speaker.Peers)+len(p.Speaker.Routes)+len(p.Problems) != 0 {
		t.Errorf("without settings: %+v", p)
	}
	if p := Make(Config{BGP: &epicv1.BGP{ASN: 64513, Communities: []string{"x", "1:2"}, Peers: []epicv1.BGPPeer{router("a", "192.0.2.1")}}}, this, delivered(), nil); len(p.Speaker.Local.Communities) != 1 || len(p.Problems) != 1 {
		t.Errorf("an impossible community: %+v", p)
	}
}

// No password comes into what is shown.
func TestMakeKeepsPasswords(t *testing.T) {
	p := Make(Config{BGP: &epicv1.BGP{ASN: 1, Peers: []epicv1.BGPPeer{router("a", "192.0.2.1", password("k"))}}}, Node{Address: netip.MustParseAddr("192.0.2.40")}, delivered(),
		func(string) (string, error) { return "secret", nil })
	if p.Speaker.Peers[0].Password != "secret" || slices.ContainsFunc(p.Problems, func(s string) bool { return strings.Contains(s, "secret") }) {
		t.Errorf("%+v", p)
	}
}

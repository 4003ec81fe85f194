// SPDX-License-Identifier: Apache-2.0

package issuer

import (
	"strings"
	"testing"

	"github.com/acnodal/epic/pkg/proxyidentity"
)

func process(name string) proxyidentity.Identity {
	return proxyidentity.Identity{Proxy: proxyidentity.Proxy{Namespace: "epic-a", Kind: proxyidentity.GWProxy, Name: name}, Pod: name + "-0"}
}

func TestSecrets(t *testing.T) {
	web, other := process("web"), process("other")
	s := NewSecrets()
	var used []proxyidentity.Identity
	s.Used = func(id proxyidentity.Identity) { used = append(used, id) }
	try := func(what string, e Evidence, want proxyidentity.Identity, reason Reason, text string) {
		t.Helper()
		got, err := s.Authenticate(t.Context(), e)
		r, _ := ReasonOf(err)
		if got != want || r != reason || (err != nil) != (reason != "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, %q %v", what, got, r, err)
		}
	}
	none := proxyidentity.Identity{}
	first := s.Issue(web)
	ofOther := s.Issue(other)
	try("nothing", Evidence{Namespace: "epic-a", Pod: "web-0"}, none, NoToken, "neither")
	try("a guess", Evidence{Token: "guess", Namespace: "epic-a", Pod: "web-0"}, none, InvalidToken, "unknown")
	try("another's secret", Evidence{Token: ofOther, Namespace: "epic-a", Pod: "web-0"}, none, OtherPod, "another process")
	try("a secret", Evidence{Token: first, Namespace: "epic-a", Pod: "web-0"}, web, "", "")
	try("the same again", Evidence{Token: first, Namespace: "epic-a", Pod: "web-0"}, none, ReusedSecret, "used before")
	if len(used) != 1 || used[0] != web {
		t.Errorf("used: %v", used)
	}
	try("a renewal", Evidence{Certificate: &web, Namespace: "epic-a", Pod: "web-0"}, web, "", "")
	try("a renewal for another", Evidence{Certificate: &web, Namespace: "epic-a", Pod: "other-0"}, none, OtherPod, "certificate belongs to")

	second, third := s.Issue(web), s.Issue(web)
	try("an older secret", Evidence{Token: second, Namespace: "epic-a", Pod: "web-0"}, none, InvalidToken, "unknown or outdated")
	try("the newest", Evidence{Token: third, Namespace: "epic-a", Pod: "web-0"}, web, "", "")
	s.Revoke(web)
	for _, secret := range s.secrets {
		if secret.id == web {
			t.Error("a secret of a process that was revoked is kept")
		}
	}
	try("a renewal after the end", Evidence{Certificate: &web, Namespace: "epic-a", Pod: "web-0"}, none, NotRunning, "should not be running")
	s.Allow(web)
	try("a renewal after a restart of the operator", Evidence{Certificate: &web, Namespace: "epic-a", Pod: "web-0"}, web, "", "")
	for range 100 {
		try("a restart", Evidence{Token: s.Issue(web), Namespace: "epic-a", Pod: "web-0"}, web, "", "")
	}
	if n := len(s.secrets); n > 20 {
		t.Errorf("%d secrets are kept", n)
	}
}

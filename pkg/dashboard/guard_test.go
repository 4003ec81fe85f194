// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bytes"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// Only the browser that has the cookie gets in, at the right name and from no other site.
func TestGuard(t *testing.T) {
	s := serve(t, Options{Feed: feedOf(modelOf(t, "healthy"))})
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	for name, test := range map[string]struct {
		path   string
		change func(*http.Request)
		want   int
	}{
		"the cookie":                        {"", nil, http.StatusOK},
		"by the name localhost":             {"", host(s.guard.hosts[1]), http.StatusOK},
		"typed into the address bar":        {"", header("Sec-Fetch-Site", "none"), http.StatusOK},
		"a link of the dashboard":           {"", header("Sec-Fetch-Site", "same-origin"), http.StatusOK},
		"no cookie":                         {"", func(r *http.Request) { r.Header.Del("Cookie") }, http.StatusUnauthorized},
		"no cookie, a style sheet":          {"static/style.css", func(r *http.Request) { r.Header.Del("Cookie") }, http.StatusUnauthorized},
		"no cookie, the events":             {"events", func(r *http.Request) { r.Header.Del("Cookie") }, http.StatusUnauthorized},
		"another cookie":                    {"", header("Cookie", cookieName+"=guess"), http.StatusUnauthorized},
		"the token as a cookie":             {"", header("Cookie", cookieName+"="+s.guard.token), http.StatusUnauthorized},
		"a name that resolves to 127.0.0.1": {"", host("evil.example:" + strings.Split(s.guard.hosts[0], ":")[1]), http.StatusMisdirectedRequest},
		"no port":                           {"", host("127.0.0.1"), http.StatusMisdirectedRequest},
		"another site":                      {"", header("Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"another port of this machine":      {"events", header("Sec-Fetch-Site", "same-site"), http.StatusForbidden},
		"a write":                           {"", func(r *http.Request) { r.Method = http.MethodPost }, http.StatusMethodNotAllowed},
		"a preflight":                       {"", func(r *http.Request) { r.Method = http.MethodOptions }, http.StatusMethodNotAllowed},
		"another path":                      {"", func(r *http.Request) { r.URL.Path = "/" }, http.StatusNotFound},
		"a path that leads out":             {"../", nil, http.StatusNotFound},
		"a file outside":                    {"static/../frame.html", nil, http.StatusNotFound},
		"a wrong token":                     {"?token=guess", func(r *http.Request) { r.Header.Del("Cookie") }, http.StatusUnauthorized},
		"a wrong token with the cookie":     {"?token=", nil, http.StatusUnauthorized},
	} {
		response, body := s.get(t, test.path, test.change)
		if response.StatusCode != test.want && (test.want != http.StatusNotFound || response.StatusCode != http.StatusMovedPermanently && response.StatusCode != http.StatusTemporaryRedirect) {
			t.Errorf("%s: %s, want %d\n%s", name, response.Status, test.want, body)
		}
		if test.want != http.StatusOK && (strings.Contains(body, "acme") || strings.Contains(body, s.guard.token)) {
			t.Errorf("%s: the answer shows something:\n%s", name, body)
		}
		for header, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
			"Cache-Control": "no-store", "X-Frame-Options": "DENY", "Access-Control-Allow-Origin": "",
		} {
			if got := response.Header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", name, header, got, want)
			}
		}
	}
}

// The address that is printed sets a cookie for the secret path alone, and leads on without
// the token.
func TestEnter(t *testing.T) {
	s := serve(t, Options{Feed: feedOf(modelOf(t, "healthy"))})
	u, err := url.Parse(s.URL())
	if err != nil || u.Hostname() != "127.0.0.1" || len(s.guard.token) < 32 || len(s.guard.base) < 32 || strings.Contains(s.guard.base, s.guard.token) {
		t.Fatal(s.URL(), err)
	}
	// A link on another site leads here too; what it gets it can't read.
	response, body := s.get(t, "?"+u.RawQuery, func(r *http.Request) {
		r.Header.Del("Cookie")
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	})
	cookies := response.Cookies()
	if response.StatusCode != http.StatusOK || len(cookies) != 1 || strings.Contains(body, s.guard.token) || !strings.Contains(body, "url="+s.guard.base) {
		t.Fatal(response.Status, cookies, body)
	}
	c := cookies[0]
	if c.Path != s.guard.base || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Domain != "" || c.Value == s.guard.token || c.MaxAge != 0 {
		t.Errorf("%+v", c)
	}
	// Another start has other values.
	if other := newGuard(1, nil); other.base == s.guard.base || other.token == s.guard.token {
		t.Error("The values are not random")
	}
}

// The pages name no other machine, and contain no script or style, which the policy would
// refuse.
func TestNothingFromElsewhere(t *testing.T) {
	elsewhere := regexp.MustCompile(`(?i)(?:src|href|action|url\(|@import|fetch\(|EventSource\()\s*=?\s*["'(]?\s*(?:https?:)?//`)
	inline := regexp.MustCompile(`(?i)<script(?:>| [^>]*>)[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)
	check := func(name, text string) {
		t.Helper()
		if found := elsewhere.FindString(text); found != "" {
			t.Errorf("%s refers to %s", name, found)
		}
		if found := inline.FindString(text); found != "" {
			t.Errorf("%s has %s", name, found)
		}
	}
	for _, name := range []string{"static/style.css", "static/live.js", "static/icon.svg"} {
		data, err := assets.ReadFile("assets/" + name)
		if err != nil {
			t.Fatal(err)
		}
		check(name, string(bytes.ReplaceAll(data, []byte(`xmlns="http://www.w3.org/2000/svg"`), nil)))
	}
	for example, paths := range views {
		s := serve(t, Options{Feed: feedOf(modelOf(t, example))})
		for _, path := range paths {
			_, body := s.get(t, path, nil)
			check(example+" "+path, body)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

const (
	cookieName = "epic-dashboard"
	tokenParam = "token"
)

// policy prevents a page from using anything that this server does not serve: scripts,
// styles, images or connections from elsewhere, frames around it, or forms that send data
// elsewhere.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guard only admits the browser of the person who started the program.
//
//   - A request from another site whose name resolves to 127.0.0.1 is rejected by its
//     Host header.
//   - A request from a page of another site, or of a server on another port of this
//     machine, is rejected by the browser's Sec-Fetch-Site header, has no cookie, because
//     the cookie is limited to this site (SameSite), and does not know the path.
//   - Another user of this machine knows neither the path nor the token. The browser sends
//     cookies to all ports of 127.0.0.1, where that user may run a server to collect them.
//     The cookie is bound to the secret path, and nobody else can make a link to that.
type guard struct {
	// base is the first part of every path, and token is part of the printed URL.
	base, token string
	hosts       []string
	next        http.Handler
}

// newGuard returns a guard for a port, with new random values.
func newGuard(port int, next http.Handler) *guard {
	return &guard{
		base: "/" + random() + "/", token: random(), next: next,
		hosts: []string{fmt.Sprintf("127.0.0.1:%d", port), fmt.Sprintf("localhost:%d", port)},
	}
}

// random returns 192 random bits.
func random() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// url returns the address to open in a browser.
func (g *guard) url() string {
	return "http://" + g.hosts[0] + g.base + "?" + tokenParam + "=" + g.token
}

// cookie returns the value of the cookie. It differs from the token, so the cookie does
// not reveal the token.
func (g *guard) cookie() string {
	sum := sha256.Sum256([]byte("cookie " + g.token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Cache-Control", "no-store")
	switch {
	case !slices.Contains(g.hosts, r.Host):
		refuse(w, http.StatusMisdirectedRequest, "This server answers to "+g.hosts[0]+" only.")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "This server only accepts GET requests.")
	case !strings.HasPrefix(r.URL.Path, g.base):
		refuse(w, http.StatusNotFound, "Open the address that epicctl printed.")
	case r.URL.Query().Has(tokenParam):
		g.enter(w, r)
	case crossSite(r):
		refuse(w, http.StatusForbidden, "Another site requested this page. Open the address that epicctl printed.")
	case !g.knows(r):
		refuse(w, http.StatusUnauthorized, "Open the address that epicctl printed. It contains the required token.")
	default:
		g.next.ServeHTTP(w, r)
	}
}

// enter checks the token and sets the cookie. It responds with a page that loads the
// first page: a redirect would count as coming from the page with the link, so the
// browser would send no cookie.
func (g *guard) enter(w http.ResponseWriter, r *http.Request) {
	if subtle.ConstantTimeCompare([]byte(r.URL.Query().Get(tokenParam)), []byte(g.token)) != 1 {
		refuse(w, http.StatusUnauthorized, "The token is wrong. Open the address that epicctl printed last.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: g.cookie(), Path: g.base, HttpOnly: true, SameSite: http.SameSiteStrictMode}) //nolint:gosec // no TLS on 127.0.0.1
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0;url=%[1]s\"><title>EPIC</title><p><a href=\"%[1]s\">Open the dashboard</a></p></html>\n", g.base)
}

// knows reports whether a request has the cookie.
func (g *guard) knows(r *http.Request) bool {
	for _, c := range r.CookiesNamed(cookieName) {
		if subtle.ConstantTimeCompare([]byte(c.Value), []byte(g.cookie())) == 1 {
			return true
		}
	}
	return false
}

// crossSite reports whether another origin sent the request, according to the browser.
// Old browsers do not send this information.
func crossSite(r *http.Request) bool {
	site := r.Header.Get("Sec-Fetch-Site")
	return site != "" && site != "same-origin" && site != "none"
}

// refuse responds with one sentence.
func refuse(w http.ResponseWriter, code int, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, why)
}

// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/acnodal/epic/pkg/dashboard/live"
	"github.com/acnodal/epic/test/tools/need"
)

// browserPatience is how long anything in the browser may take on a loaded machine.
const browserPatience = time.Minute

// chromium starts a headless Chromium that ends with the test. It reaches no other
// machine: everything but 127.0.0.1 resolves to nothing.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium-headless-shell")
	if err != nil {
		path = need.Program(t, "chromium", "chromium-headless-shell")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"))
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	browser, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	start(browser, t)
	return browser
}

// tab opens a tab that ends with the test, if not before, and does something in it.
func tab(browser context.Context, t *testing.T, steps ...step) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, end := chromedp.NewContext(browser)
	t.Cleanup(end)
	start(ctx, t)
	do(ctx, t, steps...)
	return ctx, end
}

// start starts what belongs to a context. The context of the first run is that of the
// browser or tab, so it has no deadline of its own.
func start(ctx context.Context, t *testing.T) {
	t.Helper()
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
}

// step is something that a browser does.
type step = chromedp.Action[chromedp.Void]

// do does some steps in a tab.
func do(ctx context.Context, t *testing.T, steps ...step) {
	t.Helper()
	value(ctx, t, chromedp.Steps(steps...))
}

// value returns what an action yields in a tab.
func value[T any](ctx context.Context, t *testing.T, action chromedp.Action[T]) T {
	t.Helper()
	bounded, cancel := context.WithTimeout(ctx, browserPatience)
	defer cancel()
	out, err := chromedp.Run(bounded, action)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// js is the value of an expression in a tab.
func js[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	return value(ctx, t, chromedp.Evaluate[T](expression))
}

// open goes to the dashboard by the address that a user opens, then to one of its pages.
func open(s *Server, path string) step {
	return chromedp.Steps(
		chromedp.Navigate(s.URL()),
		chromedp.WaitReady("main h1"),
		chromedp.Navigate("http://"+s.guard.hosts[0]+s.guard.base+path),
		chromedp.WaitReady("main h1"),
	)
}

// emulate sets the width of the window and the color scheme.
func emulate(ctx context.Context, t *testing.T, width int64, dark bool) {
	t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	do(ctx, t, chromedp.EmulateViewport(width, 800), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media)
		return err
	}))
}

// screenshot keeps what a page looks like where EPIC_SCREENSHOTS names a folder.
func screenshot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	folder := os.Getenv("EPIC_SCREENSHOTS")
	if folder == "" {
		return
	}
	png := value(ctx, t, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o600); err != nil {
		t.Fatal(err)
	}
}

// views are the pages of each example that a person would look at.
var views = map[string][]string{
	"empty":               {""},
	"healthy":             {"", "proxies", "accounts/epic-acme", "accounts/epic-acme/loadbalancer/shop", "accounts/epic-acme/gwproxy/edge", "nodes", "nodes/192.168.1.40", "addresses", "accounts", "problems", "nothing"},
	"tunnels-down":        {"", "accounts/epic-acme/loadbalancer/shop"},
	"gateway-nodes":       {"", "nodes", "nodes/192.168.1.42"},
	"no-endpoints":        {"", "accounts/epic-acme/loadbalancer/shop"},
	"envoys":              {"accounts/epic-acme/loadbalancer/shop"},
	"endpoints":           {"problems", "accounts/epic-acme/loadbalancer/shop"},
	"platform":            {"", "addresses"},
	"tenant":              {""},
	"tenant-tunnels-down": {"accounts/epic-acme/loadbalancer/shop"},
	"no-controller":       {""},
	"forbidden":           {""},
}

// Each page of each example renders in both color schemes, wide and narrow, without a word
// on the console and without a request to anything but the dashboard, and everybody can
// use it.
func TestPagesInBrowser(t *testing.T) {
	browser := chromium(t)
	for name, paths := range views {
		o := Options{Feed: feedOf(modelOf(t, name))}
		if name == "healthy" {
			o.Rates = fixedRates{}
		}
		if strings.HasPrefix(name, "tenant") {
			o.Accounts = []string{"acme"}
		}
		s := serve(t, o)
		for _, path := range paths {
			ctx, end := tab(browser, t)
			log := observe(ctx, t)
			do(ctx, t, open(s, path))
			file := name + "-" + strings.ReplaceAll(path, "/", "-")
			for _, look := range []struct {
				suffix string
				width  int64
				dark   bool
			}{{"", 1280, false}, {"-dark", 1280, true}, {"-narrow", 400, false}} {
				// The overview and the page of a proxy have all kinds of parts.
				if look.suffix != "" && path != "" && !strings.Contains(path, "/loadbalancer/") {
					continue
				}
				emulate(ctx, t, look.width, look.dark)
				accessible(ctx, t, file+look.suffix)
				screenshot(ctx, t, file+look.suffix)
			}
			log.check(t, file, s)
			end()
		}
	}
}

// log has what a tab asks for, and what its console says.
type log struct {
	mu                 sync.Mutex
	requests, messages []string
}

// observe notes what a tab does.
func observe(ctx context.Context, t *testing.T) *log {
	t.Helper()
	l := &log{}
	note := func(to *[]string, text string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		*to = append(*to, text)
	}
	err := chromedp.Listen(ctx, func(event any) {
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			note(&l.requests, e.Request.URL)
		case *runtime.EventExceptionThrown:
			note(&l.messages, e.ExceptionDetails.Text)
		case *cdplog.EventEntryAdded:
			note(&l.messages, e.Entry.Text+" "+e.Entry.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	do(ctx, t, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
			return err
		}
		if _, err := chromedp.Call(ctx, cdplog.Enable, cdp.Empty{}); err != nil {
			return err
		}
		_, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
		return err
	}))
	return l
}

// check finds requests to others, and complaints.
func (l *log) check(t *testing.T, what string, s *Server) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.requests) < 4 {
		t.Errorf("%s: only %q was asked for", what, l.requests)
	}
	for _, request := range l.requests {
		if !strings.HasPrefix(request, "http://"+s.guard.hosts[0]+s.guard.base) {
			t.Errorf("%s: it asked for %s", what, request)
		}
	}
	for _, message := range l.messages {
		if !strings.Contains(message, "404 (Not Found)") || !strings.HasSuffix(message, "/nothing") {
			t.Errorf("%s: the console says %s", what, message)
		}
	}
}

// The policy keeps a page from reaching another server, even by a script of its own.
func TestPolicyInBrowser(t *testing.T) {
	var reached atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached.Add(1) }))
	defer other.Close()
	s := serve(t, Options{Feed: feedOf(modelOf(t, "healthy"))})
	ctx, _ := tab(chromium(t), t, open(s, ""))
	refused := value(ctx, t, chromedp.Evaluate[int](`(async (other) => {
		let refused = 0;
		document.addEventListener("securitypolicyviolation", () => refused++);
		await fetch(other).catch(() => 0);
		for (const [tag, name] of [["img", "src"], ["script", "src"], ["iframe", "src"], ["link", "href"]]) {
			const e = document.createElement(tag);
			if (tag === "link") e.rel = "stylesheet";
			e[name] = other + "/" + tag;
			document.body.append(e);
		}
		const form = document.createElement("form");
		form.action = other;
		document.body.append(form);
		form.submit();
		const inline = document.createElement("script");
		inline.textContent = "window.ran = true";
		document.body.append(inline);
		await new Promise((done) => setTimeout(done, 300));
		if (window.ran) throw new Error("an inline script ran");
		return refused;
	})("`+other.URL+`")`, chromedp.EvalAwaitPromise))
	if refused < 7 || reached.Load() != 0 {
		t.Errorf("%d attempts were refused, %d reached the other server", refused, reached.Load())
	}
}

// A server on another port of this machine, to which the browser goes with the dashboard
// open, gets no cookie and no answer.
func TestOtherOriginInBrowser(t *testing.T) {
	s := serve(t, Options{Feed: feedOf(modelOf(t, "healthy"))})
	cookies := make(chan string, 8)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case cookies <- r.Header.Get("Cookie"):
		default:
		}
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><h1>other</h1>")
	}))
	defer other.Close()
	browser := chromium(t)
	_, _ = tab(browser, t, open(s, ""))
	ctx, _ := tab(browser, t, chromedp.Navigate(other.URL))
	if got := <-cookies; got != "" {
		t.Errorf("The other server got the cookie %s", got)
	}
	base := "http://" + s.guard.hosts[0] + s.guard.base
	got := value(ctx, t, chromedp.Evaluate[string](`(async (url) => {
		const all = [];
		for (const mode of ["cors", "no-cors"]) all.push(await fetch(url, {mode, credentials: "include"}).then((r) => r.status, () => "refused"));
		const frame = document.createElement("iframe");
		frame.src = url;
		document.body.append(frame);
		await new Promise((done) => { frame.onload = done; setTimeout(done, 2000); });
		let inside = "";
		try { inside = frame.contentDocument?.body?.textContent ?? ""; } catch { }
		return all.join(" ") + inside;
	})("`+base+`")`, chromedp.EvalAwaitPromise))
	if got != "refused refused" {
		t.Errorf("It got %s", got)
	}
}

// The keyboard reaches everything, first the link to the content.
func TestKeyboardInBrowser(t *testing.T) {
	s := serve(t, Options{Feed: feedOf(modelOf(t, "tunnels-down"))})
	ctx, _ := tab(chromium(t), t, open(s, "proxies"))
	const active = `document.activeElement.id || document.activeElement.textContent.trim().replace(/\s+/g, " ")`
	do(ctx, t, chromedp.KeyEvent(kb.Tab))
	if got := js[string](ctx, t, active); got != "Skip to the content" || !js[bool](ctx, t, `document.activeElement.getBoundingClientRect().top >= 0`) {
		t.Errorf("The first is %q, or out of sight", got)
	}
	do(ctx, t, chromedp.KeyEvent(kb.Enter))
	if got := js[string](ctx, t, active); got != "main" {
		t.Errorf("The link leads to %q", got)
	}
	var order []string
	for range 6 {
		do(ctx, t, chromedp.KeyEvent(kb.Tab))
		order = append(order, js[string](ctx, t, active))
		if !js[bool](ctx, t, `parseFloat(getComputedStyle(document.activeElement).outlineWidth) >= 2`) {
			t.Errorf("The focus on %s can't be seen", order[len(order)-1])
		}
	}
	// The fourth is the table, which may have to be scrolled.
	order = slices.Delete(order, 3, 4)
	if want := []string{"q", "state", "Filter", "shop", "acme"}; !slices.Equal(order, want) {
		t.Errorf("%q, want %q", order, want)
	}
	js[any](ctx, t, `document.querySelector("tbody a").focus(); 0`)
	do(ctx, t, chromedp.KeyEvent(kb.Enter), chromedp.WaitReady(".path"))
}

// A page changes by itself, and neither the focus nor what somebody opened changes.
func TestLiveInBrowser(t *testing.T) {
	healthy, broken := modelOf(t, "healthy"), modelOf(t, "tunnels-down")
	f := feedOf(healthy)
	s := serve(t, Options{Feed: f})
	ctx, _ := tab(chromium(t), t, open(s, ""))
	js[any](ctx, t, `window.same = document.querySelector("main h1"); document.querySelector("#checks-details").open = true; document.querySelector("nav a[href$=proxies]").focus(); 0`)
	f.set(func(s *live.Snapshot) {
		broken.Checks = healthy.Checks
		s.Model = broken
	})
	do(ctx, t, chromedp.WaitVisible(".fault"))
	if got := js[string](ctx, t, `[document.title, document.querySelector(".badge").textContent, window.same.isConnected, document.querySelector("#checks-details").open, document.activeElement.textContent.trim()].join("|")`); got != "(1) Overview · EPIC|1|true|true|Proxies" {
		t.Error(got)
	}
	poll(ctx, t, `document.getElementById("said").textContent === "1 problem, 0 failing"`)
	f.set(func(s *live.Snapshot) { s.Connected, s.Error = false, "connection refused" })
	do(ctx, t, chromedp.WaitVisible("#away"))
	poll(ctx, t, `document.getElementById("said").textContent === "The API does not answer"`)
	screenshot(ctx, t, "away")
	f.set(func(s *live.Snapshot) { s.Connected, s.Model = true, healthy })
	do(ctx, t, chromedp.WaitNotPresent("#away"), chromedp.WaitVisible(".verdict.ok"))
}

// If the program ends, the page says so.
func TestGoneInBrowser(t *testing.T) {
	served, stop := context.WithCancel(t.Context())
	defer stop()
	s, err := Listen(served, Options{Feed: feedOf(modelOf(t, "healthy")), Server: "https://epic.example"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(served) }()
	ctx, _ := tab(chromium(t), t, open(s, ""))
	poll(ctx, t, `document.getElementById("gone").hidden`)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	do(ctx, t, chromedp.WaitVisible("#gone"))
	screenshot(ctx, t, "gone")
}

// The filter works while one types, and its address is that of what is shown.
func TestFilterInBrowser(t *testing.T) {
	s := serve(t, Options{Feed: feedOf(manyProxies(1000))})
	ctx, _ := tab(chromium(t), t, open(s, "proxies"))
	screenshot(ctx, t, "many")
	do(ctx, t, chromedp.SendKeys("#q", "shop-0077"))
	poll(ctx, t, `document.querySelectorAll("tbody tr").length === 1 && document.querySelector(".found").textContent === "1 of 1000"`)
	if got := js[string](ctx, t, `location.search + " " + document.activeElement.id + " " + document.activeElement.value`); got != "?q=shop-0077 q shop-0077" {
		t.Error(got)
	}
	do(ctx, t, chromedp.Click("a.clear"), chromedp.WaitReady(".pager"), chromedp.Click("a[rel=next]"), chromedp.WaitReady("a[rel=prev]"))
	if got := js[string](ctx, t, `document.querySelector(".pager span").textContent`); got != "51–100 of 1000" {
		t.Error(got)
	}
}

// Without JavaScript everything is there, too, and the filter is a form.
func TestWithoutScriptInBrowser(t *testing.T) {
	s := serve(t, Options{Feed: feedOf(modelOf(t, "healthy"))})
	ctx, _ := tab(chromium(t), t, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}), open(s, "proxies"))
	do(ctx, t, chromedp.WaitVisible("noscript p"), chromedp.SendKeys("#q", "edge"), chromedp.Click("#filter button"), chromedp.WaitReady("a.clear"))
	if got := value(ctx, t, chromedp.Text("tbody")); !strings.Contains(got, "edge") || strings.Contains(got, "shop") {
		t.Error(got)
	}
	screenshot(ctx, t, "noscript")
}

// poll waits until an expression is true.
func poll(ctx context.Context, t *testing.T, expression string) {
	t.Helper()
	value(ctx, t, chromedp.Poll[bool](expression))
}

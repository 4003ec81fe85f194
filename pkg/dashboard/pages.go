// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bytes"
	"cmp"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strings"

	"github.com/acnodal/epic/pkg/dashboard/live"
	"github.com/acnodal/epic/pkg/dashboard/rates"
	"github.com/acnodal/epic/pkg/overview"
)

//go:embed assets
var assets embed.FS

// pages renders the pages.
type pages struct {
	*Options
	base    string
	mux     *http.ServeMux
	all     map[string]*template.Template
	streams chan struct{}
}

// page is the input for the frame around each page.
type page struct {
	// Base is the first part of all paths.
	Base string
	// At is the current entry of the navigation.
	At, Title string
	Now       *live.Snapshot
	Model     *overview.Model
	Server    string
	// Tenant indicates that only the accounts in Accounts are shown.
	Tenant   bool
	Accounts []string
	// Rated indicates that metrics are read, and RateNote names their source, or why they
	// are not.
	Rated    bool
	RateNote string
	// Bad is the number of problems because of which something is not served.
	Bad int
	// Content is the input for the page itself.
	Content any
}

// pageNames lists the templates, one per page.
var pageNames = []string{"overview", "problems", "proxies", "accounts", "account", "proxy", "nodes", "node", "addresses", "missing"}

func newPages(o *Options) *pages {
	p := &pages{Options: o, mux: http.NewServeMux(), all: map[string]*template.Template{}, streams: make(chan struct{}, mostStreams)}
	frame := template.Must(template.New("frame").Funcs(functions).ParseFS(assets, "assets/frame.html", "assets/parts.html"))
	for _, name := range pageNames {
		p.all[name] = template.Must(template.Must(frame.Clone()).ParseFS(assets, "assets/"+name+".html"))
	}
	static, err := fs.Sub(assets, "assets/static")
	if err != nil {
		panic(err) // it is embedded
	}
	p.mux.Handle("GET /static/", http.StripPrefix("/static", http.FileServerFS(static)))
	p.mux.HandleFunc("GET /events", p.serveEvents)
	p.mux.HandleFunc("GET /{$}", p.serveOverview)
	p.mux.HandleFunc("GET /problems", p.serveProblems)
	p.mux.HandleFunc("GET /proxies", p.serveProxies)
	p.mux.HandleFunc("GET /accounts", p.serveAccounts)
	p.mux.HandleFunc("GET /accounts/{namespace}", p.serveAccount)
	p.mux.HandleFunc("GET /accounts/{namespace}/{kind}/{name}", p.serveProxy)
	p.mux.HandleFunc("GET /nodes", p.serveNodes)
	p.mux.HandleFunc("GET /nodes/{address}", p.serveNode)
	p.mux.HandleFunc("GET /addresses", p.serveAddresses)
	p.mux.HandleFunc("GET /", p.serveMissing)
	return p
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.StripPrefix(strings.TrimSuffix(p.base, "/"), p.mux).ServeHTTP(w, r)
}

// render writes a page for a snapshot.
func (p *pages) render(w http.ResponseWriter, now *live.Snapshot, code int, name, at, title string, content any) {
	v := &page{
		Base: p.base, At: at, Title: title, Now: now, Model: now.Model, Server: p.Server, Tenant: len(p.Options.Accounts) > 0, Accounts: p.Options.Accounts,
		Rated: p.Rates != nil, RateNote: noRates, Content: content,
	}
	if p.Rates != nil {
		v.RateNote = p.Rates.Note()
	}
	for i := range now.Model.Faults {
		if now.Model.Faults[i].State == overview.Bad {
			v.Bad++
		}
	}
	var out bytes.Buffer
	if err := p.all[name].ExecuteTemplate(&out, "frame", v); err != nil {
		http.Error(w, fmt.Sprintf("The page can't be rendered: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = out.WriteTo(w)
}

const noRates = "Rates and round trips are not shown: start the dashboard with --prometheus to read them."

const (
	shownProblems = 8
	shownAccounts = 10
)

type overviewContent struct {
	Problems []overview.Fault
	Accounts []*overview.Account
	Proxies  []proxyRow
	// ChecksOK indicates that no check fails or warns.
	ChecksOK bool
}

func (p *pages) serveOverview(w http.ResponseWriter, _ *http.Request) {
	now, _ := p.Feed.Now()
	m := now.Model
	c := &overviewContent{Problems: m.Faults[:min(shownProblems, len(m.Faults))], ChecksOK: true}
	for _, check := range m.Checks {
		c.ChecksOK = c.ChecksOK && check.Verdict == overview.OK
	}
	if len(m.Accounts) == 1 {
		c.Proxies = p.rows(rows(m.Accounts), shownAccounts)
	} else {
		c.Accounts = sortedAccounts(m.Accounts)
		c.Accounts = c.Accounts[:min(shownAccounts, len(c.Accounts))]
	}
	p.render(w, now, http.StatusOK, "overview", "overview", "Overview", c)
}

// sortedAccounts returns accounts, worst first.
func sortedAccounts(all []*overview.Account) []*overview.Account {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b *overview.Account) int { return cmp.Compare(rank(a.State), rank(b.State)) })
	return all
}

// rank orders states, worst first.
func rank(s overview.State) int {
	return slices.Index([]overview.State{overview.Bad, overview.Warning, overview.Unknown, overview.Good}, s)
}

type problemsContent struct {
	List  list
	Items []overview.Fault
}

func (p *pages) serveProblems(w http.ResponseWriter, r *http.Request) {
	now, _ := p.Feed.Now()
	l := newList(r, problemsPerPage)
	items := filtered(&l, now.Model.Faults, func(f *overview.Fault) (overview.State, []string) {
		return f.State, []string{f.Subject, f.Reason, f.Message, f.Namespace, f.Name, f.Proxy}
	})
	p.render(w, now, http.StatusOK, "problems", "problems", "Problems", &problemsContent{List: l, Items: items})
}

type proxiesContent struct {
	List  list
	Items []proxyRow
}

// proxyRow is the row of a proxy.
type proxyRow struct {
	*overview.Proxy
	Account string
	Rate    *rates.Pod
}

// rows returns all proxies of accounts, worst first.
func rows(all []*overview.Account) []proxyRow {
	var out []proxyRow
	for _, a := range all {
		for _, proxy := range a.Proxies {
			out = append(out, proxyRow{Proxy: proxy, Account: a.Name})
		}
	}
	slices.SortStableFunc(out, func(a, b proxyRow) int { return cmp.Compare(rank(a.State), rank(b.State)) })
	return out
}

// rows adds rates to the first rows.
func (p *pages) rows(all []proxyRow, most int) []proxyRow {
	all = all[:min(most, len(all))]
	if p.Rates == nil {
		return all
	}
	for i := range all {
		all[i].Rate = p.rate(all[i].Proxy)
	}
	return all
}

// rate returns the rates of a proxy, or nil if they are unknown.
func (p *pages) rate(proxy *overview.Proxy) *rates.Pod {
	pods := p.Rates.Namespace(proxy.Namespace)
	var sum *rates.Pod
	for i := range proxy.Pods {
		rate, ok := pods[proxy.Pods[i].Name]
		if !ok {
			continue
		}
		if sum == nil {
			sum = &rates.Pod{}
		}
		sum.Requests += rate.Requests
		sum.Connections += rate.Connections
	}
	return sum
}

func ofRow(r *proxyRow) (overview.State, []string) {
	return r.State, slices.Concat([]string{r.Name, r.DisplayName, r.Account, r.Group, r.Kind}, r.Addresses, r.DNSNames)
}

func (p *pages) serveProxies(w http.ResponseWriter, r *http.Request) {
	now, _ := p.Feed.Now()
	l := newList(r, rowsPerPage)
	items := filtered(&l, rows(now.Model.Accounts), ofRow)
	p.render(w, now, http.StatusOK, "proxies", "proxies", "Proxies", &proxiesContent{List: l, Items: p.rows(items, len(items))})
}

type accountsContent struct {
	List  list
	Items []*overview.Account
}

func (p *pages) serveAccounts(w http.ResponseWriter, r *http.Request) {
	now, _ := p.Feed.Now()
	l := newList(r, rowsPerPage)
	items := filtered(&l, sortedAccounts(now.Model.Accounts), func(a **overview.Account) (overview.State, []string) {
		return (*a).State, []string{(*a).Name, (*a).Namespace}
	})
	p.render(w, now, http.StatusOK, "accounts", "accounts", "Accounts", &accountsContent{List: l, Items: items})
}

type accountContent struct {
	*overview.Account
	List     list
	Items    []proxyRow
	Problems []overview.Fault
}

func (p *pages) serveAccount(w http.ResponseWriter, r *http.Request) {
	now, _ := p.Feed.Now()
	a := accountOf(now.Model, r.PathValue("namespace"))
	if a == nil {
		p.serveMissing(w, r)
		return
	}
	l := newList(r, rowsPerPage)
	items := filtered(&l, rows([]*overview.Account{a}), ofRow)
	p.render(w, now, http.StatusOK, "account", "accounts", "Account "+a.Name,
		&accountContent{Account: a, List: l, Items: p.rows(items, len(items)), Problems: a.Faults[:min(shownProblems, len(a.Faults))]})
}

func accountOf(m *overview.Model, namespace string) *overview.Account {
	for _, a := range m.Accounts {
		if a.Namespace == namespace {
			return a
		}
	}
	return nil
}

type proxyContent struct {
	*overview.Proxy
	Account string
	List    list
	Nodes   []overview.ClientNode
	Direct  []overview.Endpoint
	// MoreDirect is the number of direct endpoints that are not shown.
	MoreDirect int
	// PodRates, TunnelRates and Rate are empty if no metrics are read.
	PodRates    map[string]rates.Pod
	TunnelRates map[int32]rates.Tunnel
	Rate        *rates.Pod
}

func (p *pages) serveProxy(w http.ResponseWriter, r *http.Request) {
	now, _ := p.Feed.Now()
	proxy := proxyOf(now.Model, r.PathValue("namespace"), r.PathValue("kind"), r.PathValue("name"))
	if proxy == nil {
		p.serveMissing(w, r)
		return
	}
	l := newList(r, nodesPerPage)
	c := &proxyContent{Proxy: proxy, Account: accountOf(now.Model, proxy.Namespace).Name}
	c.Nodes = filtered(&l, proxy.ClientNodes, func(n *overview.ClientNode) (overview.State, []string) {
		texts := []string{n.Address}
		for i := range n.Endpoints {
			texts = append(texts, n.Endpoints[i].Address, n.Endpoints[i].Object, n.Endpoints[i].Cluster)
		}
		return nodeState(n), texts
	})
	c.List = l
	c.Direct = proxy.Direct[:min(directShown, len(proxy.Direct))]
	c.MoreDirect = len(proxy.Direct) - len(c.Direct)
	if p.Rates != nil {
		c.PodRates, c.Rate = p.Rates.Namespace(proxy.Namespace), p.rate(proxy)
		c.TunnelRates = p.Rates.Tunnels(tunnelIDs(c.Nodes))
	}
	p.render(w, now, http.StatusOK, "proxy", "proxies", kindWord(proxy.Kind)+" "+proxy.Name, c)
}

// tunnelIDs returns the IDs of the tunnels to client nodes.
func tunnelIDs(nodes []overview.ClientNode) (ids []int32) {
	for i := range nodes {
		for _, t := range nodes[i].Tunnels {
			if t.ID > 0 {
				ids = append(ids, t.ID)
			}
		}
	}
	return ids
}

// nodeState returns the worst state on a client node.
func nodeState(n *overview.ClientNode) overview.State {
	state := n.State
	for i := range n.Endpoints {
		if s := n.Endpoints[i].State; rank(s) < rank(state) {
			state = s
		}
	}
	return state
}

func proxyOf(m *overview.Model, namespace, kind, name string) *overview.Proxy {
	a := accountOf(m, namespace)
	if a == nil {
		return nil
	}
	for _, proxy := range a.Proxies {
		if proxy.Name == name && strings.EqualFold(proxy.Kind, kind) {
			return proxy
		}
	}
	return nil
}

type nodesContent struct {
	List  list
	Items []overview.GatewayNode
}

func (p *pages) serveNodes(w http.ResponseWriter, r *http.Request) {
	now, _ := p.Feed.Now()
	l := newList(r, rowsPerPage)
	all := slices.Clone(now.Model.GatewayNodes)
	slices.SortStableFunc(all, func(a, b overview.GatewayNode) int { return cmp.Compare(rank(a.State), rank(b.State)) })
	items := filtered(&l, all, func(n *overview.GatewayNode) (overview.State, []string) {
		return n.State, []string{n.Address, n.Name, n.Version}
	})
	p.render(w, now, http.StatusOK, "nodes", "nodes", "Gateway nodes", &nodesContent{List: l, Items: items})
}

type nodeContent struct {
	*overview.GatewayNode
	List  list
	Items []proxyRow
}

func (p *pages) serveNode(w http.ResponseWriter, r *http.Request) {
	now, _ := p.Feed.Now()
	at := slices.IndexFunc(now.Model.GatewayNodes, func(n overview.GatewayNode) bool { return n.Address == r.PathValue("address") })
	if at < 0 {
		p.serveMissing(w, r)
		return
	}
	node := &now.Model.GatewayNodes[at]
	l := newList(r, rowsPerPage)
	here := slices.DeleteFunc(rows(now.Model.Accounts), func(row proxyRow) bool {
		return !slices.ContainsFunc(row.Pods, func(pod overview.Pod) bool { return pod.GatewayNode == node.Address })
	})
	items := filtered(&l, here, ofRow)
	p.render(w, now, http.StatusOK, "node", "nodes", "Gateway node "+cmp.Or(node.Name, node.Address), &nodeContent{GatewayNode: node, List: l, Items: p.rows(items, len(items))})
}

func (p *pages) serveAddresses(w http.ResponseWriter, _ *http.Request) {
	now, _ := p.Feed.Now()
	p.render(w, now, http.StatusOK, "addresses", "addresses", "Addresses", nil)
}

func (p *pages) serveMissing(w http.ResponseWriter, _ *http.Request) {
	now, _ := p.Feed.Now()
	p.render(w, now, http.StatusNotFound, "missing", "", "Not here", nil)
}

// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/addresspool"
	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/nodereports"
	"github.com/acnodal/epic/pkg/placement"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

// Build returns the model of objects. Everything in it is sorted, so the same objects
// result in the same model. It keeps no references to the objects except conditions.
func Build(o *Objects) *Model {
	b := &builder{Objects: o, model: &Model{Now: o.Now, Checks: o.Checks, Unread: o.Unread}}
	b.index()
	b.gatewayNodes()
	b.accounts()
	b.pools()
	b.installation()
	b.sum()
	return b.model
}

// parent identifies an object in a namespace.
type parent struct{ namespace, name string }

// builder is a Model that is being built.
type builder struct {
	*Objects
	model   *Model
	tunnels *tunnelstate.Tracker
	// reported holds the gateway nodes, by address.
	reported map[string]*GatewayNode
	// operated indicates that an operator reports on a proxy.
	operated bool
	// silence holds for how long tunnels have been down.
	silence map[int32]string

	// Objects by the object to which they belong.
	endpointsOf map[parent][]*v1.RemoteEndpoint
	routesOf    map[parent][]*v1.GWRoute
	slicesOf    map[parent][]*v1.GWEndpointSlice
	podsOf      map[placement.Object][]*corev1.Pod
}

func (b *builder) index() {
	b.endpointsOf, b.routesOf, b.slicesOf = map[parent][]*v1.RemoteEndpoint{}, map[parent][]*v1.GWRoute{}, map[parent][]*v1.GWEndpointSlice{}
	for _, o := range b.RemoteEndpoints {
		at := parent{o.Namespace, endpoints.LoadBalancerOf(o)}
		b.endpointsOf[at] = append(b.endpointsOf[at], o)
	}
	for _, o := range b.GWRoutes {
		for _, proxy := range unique(endpoints.ProxiesOf(o)) {
			at := parent{o.Namespace, proxy}
			b.routesOf[at] = append(b.routesOf[at], o)
		}
	}
	for _, o := range b.GWEndpointSlices {
		at := parent{o.Namespace, endpoints.ServiceOf(o)}
		b.slicesOf[at] = append(b.slicesOf[at], o)
	}
	b.podsOf = map[placement.Object][]*corev1.Pod{}
	for _, pod := range b.Pods {
		if of, ok := placement.ObjectOf(pod); ok {
			b.podsOf[of] = append(b.podsOf[of], pod)
		}
	}
}

// unique returns the distinct elements of a list.
func unique(all []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(all)))
}

// accounts adds all accounts and their contents. A namespace whose Account may not be
// read also has an entry.
func (b *builder) accounts() {
	all := map[string]*Account{}
	of := func(namespace string) *Account {
		a := all[namespace]
		if a == nil {
			a = &Account{Name: strings.TrimPrefix(namespace, epic.AccountNamespacePrefix), Namespace: namespace, State: Good}
			all[namespace] = a
		}
		return a
	}
	for _, o := range b.Accounts {
		a := of(o.Namespace)
		a.Known, a.ProxyLimit, a.GroupID, a.Conditions = true, int(ptr.Deref(o.Spec.ProxyLimit, epic.DefaultProxyLimit)), o.Spec.GroupID, o.Status.Conditions
		f := faultsOf(&about{kind: "Account", object: o, subject: "Account " + a.Name}, o.Status.Conditions)
		a.Faults = append(a.Faults, f...)
		a.State = stateOf(o.Status.Conditions, f)
	}
	var offered []Group
	for _, o := range b.Groups {
		g := Group{Name: o.Name, Prefix: o.Labels[epic.OwningServicePrefixLabel], Offered: o.Namespace == epic.ConfigNamespace, State: stateOf(o.Status.Conditions, nil)}
		f := faultsOf(&about{kind: "LBServiceGroup", object: o, subject: "Service group " + o.Name}, o.Status.Conditions)
		if g.Offered {
			offered = append(offered, g)
			// Users who may read prefixes see it there.
			if len(b.Prefixes) == 0 {
				b.model.Faults = append(b.model.Faults, f...)
			}
			continue
		}
		a := of(o.Namespace)
		a.Groups = append(a.Groups, g)
		if len(b.Prefixes) == 0 {
			a.Faults = append(a.Faults, f...)
		}
	}
	for _, o := range b.LoadBalancers {
		a := of(o.Namespace)
		a.Proxies = append(a.Proxies, b.loadBalancer(o))
	}
	for _, o := range b.GWProxies {
		a := of(o.Namespace)
		a.Proxies = append(a.Proxies, b.gatewayProxy(o))
	}
	b.orphans(of)
	for _, namespace := range slices.Sorted(maps.Keys(all)) {
		a := all[namespace]
		a.Groups = append(a.Groups, offered...)
		slices.SortFunc(a.Groups, func(x, y Group) int { return strings.Compare(x.Name, y.Name) })
		slices.SortFunc(a.Proxies, func(x, y *Proxy) int {
			return cmp.Or(strings.Compare(x.Name, y.Name), strings.Compare(x.Kind, y.Kind))
		})
		a.sum()
		b.model.Accounts = append(b.model.Accounts, a)
	}
}

// orphans adds the faults of objects that belong to no proxy.
func (b *builder) orphans(of func(namespace string) *Account) {
	proxies := map[parent]bool{}
	for _, o := range b.GWProxies {
		proxies[parent{o.Namespace, o.Name}] = true
	}
	for _, o := range b.GWRoutes {
		if slices.ContainsFunc(endpoints.ProxiesOf(o), func(name string) bool { return proxies[parent{o.Namespace, name}] }) {
			continue
		}
		a := of(o.Namespace)
		a.Faults = append(a.Faults, faultsOf(&about{kind: "GWRoute", object: o, subject: "Route " + routeName(o)}, o.Status.Conditions)...)
	}
	balancers := map[parent]bool{}
	for _, o := range b.LoadBalancers {
		balancers[parent{o.Namespace, o.Name}] = true
	}
	groups := grouped{}
	for _, o := range b.RemoteEndpoints {
		if !balancers[parent{o.Namespace, endpoints.LoadBalancerOf(o)}] {
			groups.add(&about{kind: "RemoteEndpoint", object: o, subject: "Endpoint " + o.Name, proxy: o.Namespace}, o.Status.Conditions)
		}
	}
	for _, o := range b.GWEndpointSlices {
		// Problems of ports and endpoints are shown at the proxies that use the slice.
		if !used(o) {
			groups.add(&about{kind: "GWEndpointSlice", object: o, subject: "Endpoint slice " + o.Name, proxy: o.Namespace}, o.Status.Conditions)
		}
	}
	for _, f := range groups.all() {
		f.Proxy = ""
		a := of(f.Namespace)
		a.Faults = append(a.Faults, f)
	}
}

// sum completes the fields that depend on the proxies of an account.
func (a *Account) sum() {
	t := Totals{Accounts: 1}
	for _, p := range a.Proxies {
		t.Proxies.count(p.State)
		t.Envoys.Good += int(min(p.EnvoysReady, p.Envoys))
		t.Envoys.Bad += int(max(0, p.Envoys-p.EnvoysReady))
		t.Tunnels.add(p.Tunnels)
		t.Endpoints.add(p.Endpoints)
		a.Faults = append(a.Faults, p.Faults...)
	}
	a.Totals = t
	sortFaults(a.Faults)
	for i := range a.Faults {
		a.State = a.State.worse(a.Faults[i].State)
	}
}

// gatewayNodes adds the reports of gateway nodes.
func (b *builder) gatewayNodes() {
	b.tunnels = tunnelstate.New(tunnelstate.Options{Now: func() time.Time { return b.Now.Time }})
	b.reported, b.silence = map[string]*GatewayNode{}, map[int32]string{}
	objects := map[string]*v1.GatewayNode{}
	for _, o := range b.GatewayNodes {
		b.tunnels.Set(o)
		if address, err := epic.GatewayNodeAddress(o.Name); err == nil {
			objects[address.String()] = o
		}
		for i := range o.Status.DownTunnels {
			b.silence[o.Status.DownTunnels[i].TunnelID] = silence(&o.Status.DownTunnels[i], b.Now.Time)
		}
	}
	reports := nodereports.Merge(b.EPIC, b.GatewayNodes)
	all := make([]GatewayNode, 0, len(reports))
	for _, address := range slices.SortedFunc(maps.Keys(reports), byAddress) {
		report := reports[address]
		n := GatewayNode{
			Address: address, Name: report.Name, Version: report.Version, Heartbeat: report.HeartbeatTime, Conditions: report.Conditions, State: Good,
			Tunnels: Counts{Good: int(report.TunnelsUp), Bad: int(max(0, report.Tunnels-report.TunnelsUp))},
		}
		if o := objects[address]; o != nil {
			n.Routes, n.Layer2 = o.Status.AnnouncedRoutes, o.Status.Layer2Addresses
			// Tunnels that are neither up nor down have just been created.
			n.Tunnels.Bad = int(o.Status.TunnelsDown)
			n.Tunnels.Unknown = int(max(0, o.Status.Tunnels-o.Status.TunnelsUp-o.Status.TunnelsDown))
			for _, p := range o.Status.BGPPeers {
				n.Peers = append(n.Peers, peer(&p))
			}
		}
		if h := judgeNode(b.Now.Time, &report); h.reason == reasonSilent || h.reason == reasonNeverReported {
			n.Tunnels = Counts{Unknown: n.Tunnels.All()}
		}
		n.Faults = b.nodeFaults(&n, &report)
		for i := range n.Faults {
			n.State = n.State.worse(n.Faults[i].State)
		}
		all = append(all, n)
	}
	b.model.GatewayNodes = all
	for i := range all {
		b.reported[all[i].Address] = &all[i]
	}
}

func peer(p *v1.BGPPeerStatus) Peer {
	out := Peer{Name: p.Name, Address: p.Address, State: Good, Status: "up"}
	if p.BFD != "" {
		out.Status += ", BFD " + strings.ToLower(string(p.BFD))
	}
	if p.State != v1.SessionUp {
		out.State, out.Status = Bad, cmp.Or(p.Message, "down")
	}
	return out
}

// nodeFaults returns the faults of a gateway node.
func (b *builder) nodeFaults(n *GatewayNode, report *v1.EPICNodeStatus) []Fault {
	subject := "Gateway node " + cmp.Or(n.Name, n.Address)
	fault := func(state State, reason, message, fix string) Fault {
		return Fault{
			Key: key("GatewayNode", epic.ConfigNamespace, n.Address, reason), State: state, Kind: "GatewayNode", Namespace: epic.ConfigNamespace, Name: n.Address,
			Subject: subject, Reason: reason, Message: message, Fix: sentence(fix),
		}
	}
	var out []Fault
	h := judgeNode(b.Now.Time, report)
	switch h.reason {
	case "":
	case reasonTunnelsDown:
		if n.Tunnels.Bad > 0 {
			out = append(out, fault(Warning, h.reason, sentence(h.message), h.fix))
		}
	default:
		f := fault(Bad, h.reason, sentence(h.message), h.fix)
		if h.reason == reasonSilent {
			f.Since = n.Heartbeat
			return []Fault{f}
		}
		out = append(out, f)
	}
	for i := range n.Conditions {
		if c := &n.Conditions[i]; c.Type != readyCondition && faulty(c) {
			f := fault(Warning, c.Reason, c.Message, fixOf(c.Reason))
			f.Since = c.LastTransitionTime
			out = append(out, f)
		}
	}
	return out
}

// pools adds the pools of addresses.
func (b *builder) pools() {
	if len(b.Prefixes) == 0 {
		return
	}
	a := Addresses{}
	for _, o := range b.LoadBalancers {
		a.Use(o.Spec.PublicAddress)
	}
	for _, o := range b.GWProxies {
		a.Use(o.Spec.PublicAddress, o.Spec.AltAddress)
	}
	for _, p := range b.Prefixes {
		b.model.Pools = append(b.model.Pools, pool(p.Name, p.Spec.PublicPool, a.Used))
		if p.Spec.AltPool != nil {
			b.model.Pools = append(b.model.Pools, pool(p.Name+epic.AltPoolSuffix, p.Spec.AltPool, a.Used))
		}
		b.model.Faults = append(b.model.Faults, faultsOf(&about{kind: "ServicePrefix", object: p, subject: "Service prefix " + p.Name}, p.Status.Conditions)...)
	}
}

func pool(name string, p *v1.AddressPool, used []netip.Addr) Pool {
	var c checks
	checkPool(&c, name, p, used)
	out := Pool{Prefix: name, Status: c[0].Detail, State: Good}
	switch c[0].Verdict {
	case Warn:
		out.State = Warning
	case Fail:
		out.State = Bad
	case OK:
	}
	if p == nil {
		return out
	}
	out.Range = p.Pool
	if _, part, err := addresspool.ParseAssignable(p.Pool, p.Subnet); err == nil {
		out.InUse = part.InUse(used)
		out.Size, out.Percent = part.Size().String(), int(min(full, part.Percent(out.InUse)))
		if out.Percent == full {
			out.State = Bad
		}
	}
	return out
}

// installation adds the faults of the installation's parts, and those of its EPIC object.
func (b *builder) installation() {
	nodesFaulty := false
	for i := range b.model.GatewayNodes {
		for _, f := range b.model.GatewayNodes[i].Faults {
			// They are shown at the proxies whose tunnels are down.
			if f.Reason != reasonTunnelsDown {
				b.model.Faults = append(b.model.Faults, f)
			}
		}
		nodesFaulty = nodesFaulty || len(b.model.GatewayNodes[i].Faults) > 0
	}
	if b.EPIC != nil {
		for _, f := range faultsOf(&about{kind: "EPIC", object: b.EPIC, subject: "The installation"}, b.EPIC.Status.Conditions) {
			// They are shown at nodes, prefixes and checks, which the EPIC object only
			// summarizes.
			switch f.Reason {
			case reasonSilent, "NodesNotReady":
				if nodesFaulty {
					continue
				}
			case "Exhausted":
				if len(b.Prefixes) > 0 {
					continue
				}
			case "NoPrefix":
				if len(b.Checks) > 0 {
					continue
				}
			}
			b.model.Faults = append(b.model.Faults, f)
		}
	}
	for _, c := range b.Checks {
		if c.Verdict == OK || c.Unknown || b.shownElsewhere(c.Name) {
			continue
		}
		state := Warning
		if c.Verdict == Fail {
			state = Bad
		}
		b.model.Faults = append(b.model.Faults, Fault{Key: key("check", "", c.Name, ""), State: state, Subject: "Check " + c.Name, Message: sentence(c.Detail), Fix: sentence(c.Fix)})
	}
}

// shownElsewhere reports whether objects show what a check reports.
func (b *builder) shownElsewhere(check string) bool {
	return check == "Envoys" && b.operated || check == "configuration" && b.EPIC != nil || strings.HasPrefix(check, "node ") || check == "gateway nodes" || strings.HasPrefix(check, "addresses ")
}

// sum completes the fields that depend on all accounts.
func (b *builder) sum() {
	m := b.model
	for _, a := range m.Accounts {
		m.Totals.add(a.Totals)
		m.Faults = append(m.Faults, a.Faults...)
	}
	for i := range m.GatewayNodes {
		m.Totals.GatewayNodes.count(m.GatewayNodes[i].State)
	}
	sortFaults(m.Faults)
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// verdict is what is judged, and what a message of it says.
type verdict struct {
	got           []metav1.Condition
	want, message string
}

func checkVerdicts(t *testing.T, verdicts map[string]verdict) {
	t.Helper()
	for name, v := range verdicts {
		t.Run(name, func(t *testing.T) { checkTold(t, v.got, v.want, v.message) })
	}
}

func TestAccountConditions(t *testing.T) {
	account := func(limit *int32) *epicv1.Account {
		return &epicv1.Account{Spec: epicv1.AccountSpec{ProxyLimit: limit}}
	}
	// ten may have ten proxies, and had a reason before.
	ten := func(reason string) *epicv1.Account {
		a := account(ptr.To[int32](10))
		a.Status.Conditions = []metav1.Condition{condition(ConditionQuotaAvailable, true, reason, "before")}
		return a
	}
	const (
		plenty = "QuotaAvailable=True/Available GroupsAvailable=True/Available Ready=True/Ready"
		few    = "QuotaAvailable=True/QuotaNearlyExhausted GroupsAvailable=True/Available Ready=True/Ready"
	)
	checkVerdicts(t, map[string]verdict{
		"room":                     {accountConditions(account(ptr.To[int32](2)), accountHas{1, 1}), "QuotaAvailable=True/Available GroupsAvailable=True/Available Ready=True/Ready", "can create more"},
		"full":                     {accountConditions(account(ptr.To[int32](2)), accountHas{2, 1}), "QuotaAvailable=False/QuotaExhausted GroupsAvailable=True/Available Ready=True/Ready", "has reached its limit of 2 load balancers and gateway proxies: delete one, or raise spec.proxyLimit"},
		"overfull":                 {accountConditions(account(ptr.To[int32](1)), accountHas{2, 1}), "QuotaAvailable=False/QuotaExhausted GroupsAvailable=True/Available Ready=True/Ready", "has reached its limit of 1"},
		"none at all":              {accountConditions(account(ptr.To[int32](0)), accountHas{0, 1}), "QuotaAvailable=False/QuotaExhausted GroupsAvailable=True/Available Ready=True/Ready", "has reached its limit of 0"},
		"the default":              {accountConditions(account(nil), accountHas{int(epic.DefaultProxyLimit), 1}), "QuotaAvailable=False/QuotaExhausted GroupsAvailable=True/Available Ready=True/Ready", "raise"},
		"eight of ten":             {accountConditions(ten(ReasonAvailable), accountHas{8, 1}), plenty, ""},
		"nine of ten":              {accountConditions(ten(ReasonAvailable), accountHas{9, 1}), few, "raise spec.proxyLimit"},
		"still eight of ten":       {accountConditions(ten(ReasonQuotaNearlyExhausted), accountHas{8, 1}), few, ""},
		"eight again after all":    {accountConditions(ten(ReasonQuotaExhausted), accountHas{8, 1}), few, ""},
		"seven again":              {accountConditions(ten(ReasonQuotaNearlyExhausted), accountHas{7, 1}), plenty, ""},
		"one of two after the two": {accountConditions(&epicv1.Account{Spec: epicv1.AccountSpec{ProxyLimit: ptr.To[int32](2)}, Status: ten(ReasonQuotaExhausted).Status}, accountHas{1, 1}), plenty, ""},
		"no group":                 {accountConditions(account(nil), accountHas{0, 0}), "QuotaAvailable=True/Available GroupsAvailable=False/NoGroup Ready=False/NoGroup", "create one"},
	})
}

func TestServicePrefixConditions(t *testing.T) {
	pool := func(s string) *epicv1.AddressPool {
		if strings.Contains(s, "-") {
			return &epicv1.AddressPool{Pool: s, Subnet: "192.0.2.0/24"}
		}
		return &epicv1.AddressPool{Pool: s, Subnet: s}
	}
	prefix := func(public, alt, was string) *epicv1.ServicePrefix {
		p := &epicv1.ServicePrefix{}
		if public != "" {
			p.Spec.PublicPool = pool(public)
		}
		if alt != "" {
			p.Spec.AltPool = pool(alt)
		}
		if was != "" {
			p.Status.Conditions = []metav1.Condition{condition(ConditionAddressesAvailable, was != ReasonExhausted, was, "m")}
		}
		return p
	}
	used := func(from string, n int) []netip.Addr {
		var all []netip.Addr
		for a := netip.MustParseAddr(from); len(all) < n; a = a.Next() {
			all = append(all, a)
		}
		return all
	}
	const (
		plenty    = "AddressesAvailable=True/Available Ready=True/Ready"
		scarce    = "AddressesAvailable=True/NearlyExhausted Ready=True/Ready"
		exhausted = "AddressesAvailable=False/Exhausted Ready=False/Exhausted"
		none      = "AddressesAvailable=False/NoPool Ready=False/NoPool"
	)
	const ten = "192.0.2.1-192.0.2.10"
	inside := prefix("192.0.2.16/28", "", "")
	inside.Spec.PublicPool.Subnet = "192.0.2.0/24"
	checkVerdicts(t, map[string]verdict{
		"no pool":                   {servicePrefix(prefix("", "", ""), nil), none, "spec.public-pool is missing"},
		"no pool but an alternate":  {servicePrefix(prefix("", ten, ""), nil), none, "set it"},
		"a pool that can't be read": {servicePrefix(prefix("all", "", ""), nil), none, "correct it"},
		"empty":                     {servicePrefix(prefix(ten, "", ""), nil), plenty, "are left"},
		"eight of ten":              {servicePrefix(prefix(ten, "", ""), used("192.0.2.1", 8)), plenty, ""},
		"nine of ten":               {servicePrefix(prefix(ten, "", ""), used("192.0.2.1", 9)), scarce, "Few addresses of spec.public-pool, " + ten},
		"still eight of ten":        {servicePrefix(prefix(ten, "", ReasonNearlyExhausted), used("192.0.2.1", 8)), scarce, "make the pool larger"},
		"eight after ten":           {servicePrefix(prefix(ten, "", ReasonExhausted), used("192.0.2.1", 8)), scarce, ""},
		"seven again":               {servicePrefix(prefix(ten, "", ReasonNearlyExhausted), used("192.0.2.1", 7)), plenty, ""},
		"ten of ten":                {servicePrefix(prefix(ten, "", ReasonAvailable), used("192.0.2.1", 10)), exhausted, "Every address of spec.public-pool"},
		"others' addresses":         {servicePrefix(prefix(ten, "", ""), used("198.51.100.1", 20)), plenty, ""},
		"IPv6":                      {servicePrefix(prefix("2001:db8::/64", "", ""), used("2001:db8::1", 1000)), plenty, ""},
		"a prefix's fourteen":       {servicePrefix(prefix("192.0.2.0/28", "", ""), used("192.0.2.1", 14)), exhausted, "192.0.2.0/28"},
		"fifteen inside a subnet":   {servicePrefix(inside, used("192.0.2.16", 15)), scarce, "192.0.2.16/28"},
		"sixteen inside a subnet":   {servicePrefix(inside, used("192.0.2.16", 16)), exhausted, "192.0.2.16/28"},
		"twelve and both ends":      {servicePrefix(prefix("192.0.2.0/28", "", ""), append(used("192.0.2.0", 13), used("192.0.2.15", 1)...)), plenty, ""},
		"the alternate is full":     {servicePrefix(prefix("2001:db8::/64", "192.0.2.0/31", ""), used("192.0.2.0", 2)), exhausted, "spec.alt-pool, 192.0.2.0/31"},
		"the public is full":        {servicePrefix(prefix("192.0.2.0/31", ten, ""), used("192.0.2.0", 2)), exhausted, "spec.public-pool"},
	})
}

func TestLBServiceGroupConditions(t *testing.T) {
	group := &epicv1.LBServiceGroup{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{epic.OwningServicePrefixLabel: "p"}}}
	prefix := func(is bool, reason string) *epicv1.ServicePrefix {
		return &epicv1.ServicePrefix{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: epicv1.ServicePrefixStatus{
			Conditions: []metav1.Condition{condition(ConditionAddressesAvailable, is, reason, "m")},
		}}
	}
	checkVerdicts(t, map[string]verdict{
		"no prefix":             {lbServiceGroup(group, nil), "AddressesAvailable=False/NoPrefix Ready=False/NoPrefix", `ServicePrefix "p" in the label`},
		"a new prefix":          {lbServiceGroup(group, &epicv1.ServicePrefix{}), "AddressesAvailable=True/Available Ready=True/Ready", ""},
		"plenty":                {lbServiceGroup(group, prefix(true, ReasonAvailable)), "AddressesAvailable=True/Available Ready=True/Ready", ""},
		"few, which is no news": {lbServiceGroup(group, prefix(true, ReasonNearlyExhausted)), "AddressesAvailable=True/Available Ready=True/Ready", ""},
		"exhausted":             {lbServiceGroup(group, prefix(false, ReasonExhausted)), "AddressesAvailable=False/Exhausted Ready=False/Exhausted", "use another group"},
		"no pool":               {lbServiceGroup(group, prefix(false, ReasonNoPool)), "AddressesAvailable=False/NoPool Ready=False/NoPool", "ask the platform team"},
	})
	// Thousands of groups may hear of a prefix: only of what changes them.
	for name, c := range map[string]struct {
		old, now *epicv1.ServicePrefix
		changed  bool
	}{
		"the same":       {prefix(true, ReasonAvailable), prefix(true, ReasonAvailable), false},
		"first words":    {&epicv1.ServicePrefix{}, prefix(true, ReasonAvailable), false},
		"few are left":   {prefix(true, ReasonAvailable), prefix(true, ReasonNearlyExhausted), false},
		"none is left":   {prefix(true, ReasonNearlyExhausted), prefix(false, ReasonExhausted), true},
		"some are again": {prefix(false, ReasonExhausted), prefix(true, ReasonNearlyExhausted), true},
		"no pool":        {prefix(false, ReasonExhausted), prefix(false, ReasonNoPool), true},
	} {
		if got := availabilityChanged(c.old, c.now); got != c.changed {
			t.Errorf("%s: groups are told: %v", name, got)
		}
	}
}

func TestEPICConditions(t *testing.T) {
	now := time.Now()
	node := func(ago time.Duration, conditions ...metav1.Condition) epicv1.EPICNodeStatus {
		return epicv1.EPICNodeStatus{HeartbeatTime: metav1.NewTime(now.Add(-ago)), Conditions: conditions}
	}
	broken := condition(ConditionReady, false, "Problems", "m")
	type nodes = map[string]epicv1.EPICNodeStatus
	pool := func(is bool) *epicv1.ServicePrefix {
		return &epicv1.ServicePrefix{Status: epicv1.ServicePrefixStatus{Conditions: []metav1.Condition{condition(ConditionAddressesAvailable, is, "R", "m")}}}
	}
	many := nodes{}
	for i := range 30 {
		many[fmt.Sprintf("192.0.2.%d", i+10)] = node(time.Hour)
	}
	const addresses = "AddressesAvailable=True/Available "
	for name, c := range map[string]struct {
		nodes         nodes
		prefixes      []*epicv1.ServicePrefix
		want, message string
		again         time.Duration
	}{
		"nothing":            {nil, nil, "NodesReady=False/NoNodes AddressesAvailable=False/NoPrefix Ready=False/NoNodes", "install the node program", 0},
		"no prefix":          {nodes{"192.0.2.1": node(0)}, nil, "NodesReady=True/AllReady AddressesAvailable=False/NoPrefix Ready=False/NoPrefix", "create one in namespace epic", 181 * time.Second},
		"all well":           {nodes{"192.0.2.1": node(0), "192.0.2.2": node(time.Minute)}, []*epicv1.ServicePrefix{pool(true)}, "NodesReady=True/AllReady " + addresses + "Ready=True/Ready", "All gateway nodes", 121 * time.Second},
		"one is silent":      {nodes{"192.0.2.1": node(0), "192.0.2.2": node(4 * time.Minute)}, []*epicv1.ServicePrefix{pool(true)}, "NodesReady=False/NodesSilent " + addresses + "Ready=True/Ready", "3m0s: 192.0.2.2: check", 181 * time.Second},
		"at the limit":       {nodes{"192.0.2.1": node(epic.NodeSilentAfter)}, []*epicv1.ServicePrefix{pool(true)}, "NodesReady=True/AllReady " + addresses + "Ready=True/Ready", "", time.Second},
		"all are silent":     {nodes{"192.0.2.2": node(4 * time.Minute)}, []*epicv1.ServicePrefix{pool(true)}, "NodesReady=False/NodesSilent " + addresses + "Ready=False/NodesSilent", "check whether they are up", 0},
		"never heard of":     {nodes{"192.0.2.2": {}}, []*epicv1.ServicePrefix{pool(true)}, "NodesReady=False/NodesSilent " + addresses + "Ready=False/NodesSilent", "", 0},
		"a clock ahead":      {nodes{"192.0.2.1": node(-time.Minute)}, []*epicv1.ServicePrefix{pool(true)}, "NodesReady=True/AllReady " + addresses + "Ready=True/Ready", "", 241 * time.Second},
		"one is not ready":   {nodes{"192.0.2.1": node(0, condition(ConditionReady, true, "R", "m")), "192.0.2.2": node(0, broken)}, []*epicv1.ServicePrefix{pool(true)}, "NodesReady=False/NodesNotReady " + addresses + "Ready=True/Ready", "192.0.2.2 (Problems): run", 181 * time.Second},
		"silent or not well": {nodes{"192.0.2.1": node(time.Hour), "192.0.2.2": node(0, broken)}, []*epicv1.ServicePrefix{pool(true)}, "NodesReady=False/NodesSilent " + addresses + "Ready=False/NodesSilent", "192.0.2.2 (Problems)", 181 * time.Second},
		"many are silent":    {many, []*epicv1.ServicePrefix{pool(true)}, "NodesReady=False/NodesSilent " + addresses + "Ready=False/NodesSilent", "192.0.2.14; and 25 more", 0},
		"one pool is full":   {nodes{"192.0.2.1": node(0)}, []*epicv1.ServicePrefix{pool(false), pool(true)}, "NodesReady=True/AllReady " + addresses + "Ready=True/Ready", "", 181 * time.Second},
		"all pools are full": {nodes{"192.0.2.1": node(0)}, []*epicv1.ServicePrefix{pool(false)}, "NodesReady=True/AllReady AddressesAvailable=False/Exhausted Ready=True/Ready", "make a pool larger", 181 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			got, again := installationConditions(c.nodes, c.prefixes, now)
			checkTold(t, got, c.want, c.message)
			if again != c.again {
				t.Errorf("it is looked at again after %s, not %s", again, c.again)
			}
		})
	}
}

func TestRemoteEndpointConditions(t *testing.T) {
	rep := func(change func(*epicv1.RemoteEndpoint)) *epicv1.RemoteEndpoint {
		r := &epicv1.RemoteEndpoint{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r", Labels: map[string]string{epic.OwningLoadBalancerLabel: "lb"}},
			Spec:       epicv1.RemoteEndpointSpec{Cluster: "c", Address: "10.0.0.1", NodeAddress: "192.168.1.1", Port: epicv1.EndpointPort{Port: 80}},
		}
		if change != nil {
			change(r)
		}
		return r
	}
	lb := func(change func(*epicv1.LoadBalancer)) *epicv1.LoadBalancer {
		l := &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "lb"}, Spec: epicv1.LoadBalancerSpec{UpstreamClusters: []string{"c"}}}
		if change != nil {
			change(l)
		}
		return l
	}
	proxied := func(id int32) *epicv1.LoadBalancer {
		return lb(func(l *epicv1.LoadBalancer) {
			l.Status.ProxyIfInfo = map[string]epicv1.ProxyInterfaceInfo{"p": {EPICNodeAddress: "172.16.0.1"}}
			l.Status.GUETunnelEndpoints = map[string]epicv1.TunnelEndpoint{"192.168.1.1": {EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{"172.16.0.1": {TunnelID: id}}}}
		})
	}
	checkVerdicts(t, map[string]verdict{
		"no load balancer": {remoteEndpoint(rep(nil), nil, nil), "Accepted=False/NoLoadBalancer TunnelReady=False/NoLoadBalancer Ready=False/NoLoadBalancer", `LoadBalancer "lb" does not exist: create it`},
		"a tunnel":         {remoteEndpoint(rep(nil), proxied(7), nil), "Accepted=True/Accepted TunnelReady=True/Assigned Ready=True/Ready", ""},
		"no ID yet":        {remoteEndpoint(rep(nil), proxied(0), nil), "Accepted=True/Accepted TunnelReady=False/TunnelPending Ready=False/TunnelPending", "condition TunnelsReady"},
		"another node":     {remoteEndpoint(rep(func(r *epicv1.RemoteEndpoint) { r.Spec.NodeAddress = "192.168.1.2" }), proxied(7), nil), "Accepted=True/Accepted TunnelReady=False/TunnelPending Ready=False/TunnelPending", ""},
		"no proxy":         {remoteEndpoint(rep(nil), lb(nil), nil), "Accepted=True/Accepted TunnelReady=False/NoProxies Ready=False/NoProxies", "No proxy runs"},
		"no node":          {remoteEndpoint(rep(func(r *epicv1.RemoteEndpoint) { r.Spec.NodeAddress = "" }), proxied(7), nil), "Accepted=True/Accepted TunnelReady=False/EndpointWithoutNode Ready=False/EndpointWithoutNode", "set it to the address"},
		"direct": {
			remoteEndpoint(rep(func(r *epicv1.RemoteEndpoint) { r.Spec.NodeAddress = "" }), lb(func(l *epicv1.LoadBalancer) { l.Spec.TrueIngress = ptr.To(false) }), nil),
			"Accepted=True/Accepted TunnelReady=True/NotNeeded Ready=True/Ready", "do not use tunnels",
		},
		"another cluster":       {remoteEndpoint(rep(func(r *epicv1.RemoteEndpoint) { r.Spec.Cluster = "d" }), proxied(7), nil), "Accepted=False/ClusterNotListed TunnelReady=False/ClusterNotListed Ready=False/ClusterNotListed", "upstream-clusters: add it"},
		"an address of nothing": {remoteEndpoint(rep(func(r *epicv1.RemoteEndpoint) { r.Spec.Address = "127.0.0.1" }), proxied(7), nil), "Accepted=False/AddressUnusable TunnelReady=False/AddressUnusable Ready=False/AddressUnusable", "set it to the IP address"},
		"a long text": {
			remoteEndpoint(rep(func(r *epicv1.RemoteEndpoint) { r.Spec.Cluster = strings.Repeat("%d", 50000) }), proxied(7), nil),
			"Accepted=False/ClusterNotListed TunnelReady=False/ClusterNotListed Ready=False/ClusterNotListed", "…",
		},
	})
}

func routeTo(parents []string, services ...string) *epicv1.GWRoute {
	spec := gatewayv1.HTTPRouteSpec{Rules: []gatewayv1.HTTPRouteRule{{}}}
	for _, p := range parents {
		spec.ParentRefs = append(spec.ParentRefs, gatewayv1.ParentReference{Name: gatewayv1.ObjectName(p)})
	}
	for _, s := range services {
		spec.Rules[0].BackendRefs = append(spec.Rules[0].BackendRefs, gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{
			BackendObjectReference: gatewayv1.BackendObjectReference{Name: gatewayv1.ObjectName(s), Port: ptr.To[int32](80)},
		}})
	}
	return &epicv1.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r"}, Spec: epicv1.GWRouteSpec{HTTP: &epicv1.HTTPRouteSpec{HTTPRouteSpec: spec}}}
}

func sliceOf(service string, change func(*epicv1.GWEndpointSliceSpec)) *epicv1.GWEndpointSlice {
	s := &epicv1.GWEndpointSlice{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Spec: epicv1.GWEndpointSliceSpec{
		ParentRef: epicv1.ClientRef{UID: service}, NodeAddresses: map[string]string{"n": "192.168.1.1"},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1"}, NodeName: ptr.To("n")}},
		Ports:     []discoveryv1.EndpointPort{{Name: ptr.To("web"), Port: ptr.To[int32](8080)}},
	}}
	if change != nil {
		change(&s.Spec)
	}
	return s
}

func notReady(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].Conditions.Ready = ptr.To(false) }
func nodeless(s *epicv1.GWEndpointSliceSpec) { s.NodeAddresses = nil }
func portless(s *epicv1.GWEndpointSliceSpec) { s.Ports = nil }

func TestGWRouteConditions(t *testing.T) {
	slices := func(change func(*epicv1.GWEndpointSliceSpec)) []*epicv1.GWEndpointSlice {
		return []*epicv1.GWEndpointSlice{sliceOf("svc", change)}
	}
	parents := []string{"p"}
	checkVerdicts(t, map[string]verdict{
		"well":            {gwRoute(routeTo(parents, "svc"), nil, slices(nil), nil, nil), "Accepted=True/Accepted ResolvedRefs=True/Resolved Ready=True/Ready", ""},
		"no parents":      {gwRoute(routeTo(nil, "svc"), nil, slices(nil), nil, nil), "Accepted=False/NoParents ResolvedRefs=True/Resolved Ready=False/NoParents", "add the name"},
		"no such parent":  {gwRoute(routeTo(parents, "svc"), parents, slices(nil), nil, nil), "Accepted=False/ParentNotFound ResolvedRefs=True/Resolved Ready=False/ParentNotFound", `"p": create them`},
		"no slices":       {gwRoute(routeTo(parents, "svc"), nil, nil, nil, nil), "Accepted=True/Accepted ResolvedRefs=False/BackendWithoutSlices Ready=False/BackendWithoutSlices", `spec.parentRef.uid`},
		"one without":     {gwRoute(routeTo(parents, "svc", "other"), nil, slices(nil), nil, nil), "Accepted=True/Accepted ResolvedRefs=False/BackendWithoutSlices Ready=False/BackendWithoutSlices", `"other"`},
		"no port":         {gwRoute(routeTo(parents, "svc"), nil, slices(portless), nil, nil), "Accepted=True/Accepted ResolvedRefs=False/PortMissing Ready=False/PortMissing", "add one"},
		"none is ready":   {gwRoute(routeTo(parents, "svc"), nil, slices(notReady), nil, nil), "Accepted=True/Accepted ResolvedRefs=True/Resolved Ready=False/NoEndpoints", "No endpoint is ready"},
		"no node":         {gwRoute(routeTo(parents, "svc"), nil, slices(nodeless), nil, nil), "Accepted=True/Accepted ResolvedRefs=True/Resolved Ready=True/Ready", ""},
		"only a redirect": {gwRoute(routeTo(parents), nil, nil, nil, nil), "Accepted=True/Accepted ResolvedRefs=True/Resolved Ready=True/Ready", ""},
		"many are missing": {
			gwRoute(routeTo(parents, "svc"), strings.Fields(strings.Repeat(strings.Repeat("x", 300)+" ", 32)), slices(nil), nil, nil),
			"Accepted=False/ParentNotFound ResolvedRefs=True/Resolved Ready=False/ParentNotFound", "and 27 more",
		},
	})
}

func TestGWEndpointSliceConditions(t *testing.T) {
	checkVerdicts(t, map[string]verdict{
		"well":            {gwEndpointSlice(sliceOf("svc", nil), true, nil, nil), "InUse=True/Referenced NodesKnown=True/Known Ready=True/Ready", ""},
		"unused":          {gwEndpointSlice(sliceOf("svc", nil), false, nil, nil), "InUse=False/NotReferenced NodesKnown=True/Known Ready=False/NotReferenced", `"svc": set this UID as the name of a backendRef`},
		"no Service":      {gwEndpointSlice(sliceOf("", nil), false, nil, nil), "InUse=False/NoService NodesKnown=True/Known Ready=False/NoService", "set it to the UID"},
		"no node":         {gwEndpointSlice(sliceOf("svc", nodeless), true, nil, nil), "InUse=True/Referenced NodesKnown=False/EndpointWithoutNode Ready=False/EndpointWithoutNode", "nodeAddresses"},
		"no ports":        {gwEndpointSlice(sliceOf("svc", portless), true, nil, nil), "InUse=True/Referenced NodesKnown=True/Known Ready=True/Ready", ""},
		"none is ready":   {gwEndpointSlice(sliceOf("svc", notReady), true, nil, nil), "InUse=True/Referenced NodesKnown=True/Known Ready=False/NoEndpoints", "No endpoint"},
		"a name, no IP":   {gwEndpointSlice(sliceOf("svc", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints[0].Addresses = []string{"a.example"} }), true, nil, nil), "InUse=True/Referenced NodesKnown=False/AddressUnusable Ready=False/AddressUnusable", "a.example"},
		"no endpoints":    {gwEndpointSlice(sliceOf("svc", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints = nil }), true, nil, nil), "InUse=True/Referenced NodesKnown=True/Known Ready=False/NoEndpoints", ""},
		"a port skipped":  {gwEndpointSlice(sliceOf("svc", sctpToo), true, nil, nil), "InUse=True/Referenced NodesKnown=True/Known PortsUsable=False/ProtocolUnsupported Ready=True/Ready", "SCTP"},
		"no port left":    {gwEndpointSlice(sliceOf("svc", sctpOnly), true, nil, nil), "InUse=True/Referenced NodesKnown=True/Known PortsUsable=False/ProtocolUnsupported Ready=False/ProtocolUnsupported", "SCTP"},
		"skipped before":  {gwEndpointSlice(skippedBefore(), true, nil, nil), "InUse=True/Referenced NodesKnown=True/Known PortsUsable=True/Usable Ready=True/Ready", "Nothing is skipped"},
		"nothing is said": {gwEndpointSlice(&epicv1.GWEndpointSlice{}, false, nil, nil), "InUse=False/NoService NodesKnown=True/Known Ready=False/NoService", ""},
	})
}

func sctpToo(s *epicv1.GWEndpointSliceSpec) {
	s.Ports = append(s.Ports, discoveryv1.EndpointPort{Name: ptr.To("signal"), Protocol: ptr.To(corev1.ProtocolSCTP)})
}

func sctpOnly(s *epicv1.GWEndpointSliceSpec) {
	s.Ports = nil
	sctpToo(s)
}

// skippedBefore is a slice that had a port which was skipped.
func skippedBefore() *epicv1.GWEndpointSlice {
	slice := sliceOf("svc", nil)
	slice.Status.Conditions = []metav1.Condition{condition(ConditionPortsUsable, false, endpoints.ReasonProtocolUnsupported, "m")}
	return slice
}

// TestListenersUsable: a listener that is not served keeps a proxy from being ready
// only if it is the last.
func TestListenersUsable(t *testing.T) {
	ready := withReady(condition(ConditionTunnelsReady, true, ReasonAssigned, "m"))
	notReady := withReady(condition(ConditionTunnelsReady, false, ReasonNoProxies, "m"))
	proxy := func(protocols ...gatewayv1.ProtocolType) parts {
		p := &epicv1.GWProxy{Spec: epicv1.GWProxySpec{Gateway: &epicv1.GatewaySpec{}}}
		for _, protocol := range protocols {
			p.Spec.Gateway.Listeners = append(p.Spec.Gateway.Listeners, gatewayv1.Listener{Name: "l", Protocol: protocol})
		}
		usable, skipped := endpoints.ListenersOf(p)
		return parts{condition: ConditionListenersUsable, usable: usable, skipped: skipped}
	}
	before := []metav1.Condition{condition(ConditionListenersUsable, false, endpoints.ReasonProtocolUnsupported, "m")}
	checkVerdicts(t, map[string]verdict{
		"all are served":     {withParts(slices.Clone(ready), proxy("HTTP", "TLS"), nil), "TunnelsReady=True/Assigned Ready=True/Ready", ""},
		"no Gateway":         {withParts(slices.Clone(ready), proxy(), nil), "TunnelsReady=True/Assigned Ready=True/Ready", ""},
		"a load balancer":    {withParts(slices.Clone(ready), parts{}, nil), "TunnelsReady=True/Assigned Ready=True/Ready", ""},
		"one is not":         {withParts(slices.Clone(ready), proxy("HTTP", "SCTP"), nil), "TunnelsReady=True/Assigned ListenersUsable=False/ProtocolUnsupported Ready=True/Ready", `"SCTP"`},
		"none is":            {withParts(slices.Clone(ready), proxy("example.com/x", "SCTP"), nil), "TunnelsReady=True/Assigned ListenersUsable=False/ProtocolUnsupported Ready=False/ProtocolUnsupported", "and 1 more"},
		"none, nor anything": {withParts(slices.Clone(notReady), proxy("SCTP"), nil), "TunnelsReady=False/NoProxies ListenersUsable=False/ProtocolUnsupported Ready=False/NoProxies", ""},
		"all are, again":     {withParts(slices.Clone(ready), proxy("HTTP"), before), "TunnelsReady=True/Assigned ListenersUsable=True/Usable Ready=True/Ready", ""},
	})
}

// TestProxyReady: a load balancer without tunnels needs a proxy all the same.
func TestProxyReady(t *testing.T) {
	tunnels, resolved := condition(ConditionTunnelsReady, true, ReasonNotNeeded, "m"), condition(ConditionEndpointsResolved, true, ReasonResolved, "m")
	for nodes, want := range map[int]string{0: "Ready=False/NoProxies", 1: "Ready=True/Ready"} {
		checkTold(t, proxyReady(&state{direct: true}, nodes, tunnels, resolved)[2:], want, "")
	}
	checkTold(t, proxyReady(&state{portless: true}, 1, tunnels, resolved)[2:], "Ready=False/NoPorts", "spec.public-ports is empty")
	ready := func(has ...metav1.Condition) []metav1.Condition {
		return withEnvoy(proxyReady(&state{direct: true}, 1, tunnels, resolved), has)[2:]
	}
	programmed := metav1.Condition{Type: ConditionProgrammed, Status: metav1.ConditionFalse, Reason: "RejectedByProxy", Message: "no"}
	checkTold(t, ready(), "Ready=True/Ready", "")
	checkTold(t, ready(programmed), "Ready=False/RejectedByProxy", "no")
	programmed.Status = metav1.ConditionTrue
	checkTold(t, ready(programmed), "Ready=True/Ready", "")
	checkTold(t, proxyReady(&state{portless: true, direct: true}, 0, tunnels, resolved)[2:], "Ready=False/NoPorts", "add a port")
}

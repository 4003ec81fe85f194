// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/placement"
)

var (
	// node is 192.0.2.1.
	node     = &user.DefaultInfo{Name: "epic:node:192.0.2.1", Groups: []string{nodeidentity.Group}}
	tenants  = &user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.192.0.2.1"}
	nameless = &user.DefaultInfo{Name: "epic:node:192.0.2.1"}
	person   = &user.DefaultInfo{Name: "jane"}
)

func info(address string) epic.ProxyInterfaceInfo {
	return epic.ProxyInterfaceInfo{EPICNodeAddress: address, Index: 7, Name: "veth7"}
}

// loadBalancer has a proxy on this node, one on another, one on none that is
// known, and a tunnel.
func proxied() epic.ProxyStatus {
	return epic.ProxyStatus{
		QuotaPlace: 1,
		ProxyIfInfo: map[string]epic.ProxyInterfaceInfo{
			"mine":    info("192.0.2.1"),
			"other":   info("192.0.2.2"),
			"nowhere": info(""),
			// Proxies that are gone, and one that moved here.
			"left": info("192.0.2.1"), "theirs": info("192.0.2.2"), "moved": info("192.0.2.2"),
		},
		ProxyPlacements: map[string]string{"mine": "192.0.2.1", "other": "192.0.2.2", "new": "192.0.2.1", "elsewhere": "192.0.2.2", "moved": "192.0.2.1"},
		ProxyIfIndex:    7, ProxyIfName: "veth7",
		GUETunnelEndpoints: map[string]epic.TunnelEndpoint{
			"10.0.0.1": {EPICAddress: "192.0.2.1", TunnelID: 1, EPICEndpoints: map[string]epic.GUETunnelEndpoint{"192.0.2.1": {EPICAddress: "192.0.2.1", TunnelID: 1}}},
		},
	}
}

func meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "epic-acme", Name: "shop", UID: "1", ResourceVersion: "5", Generation: 2, Finalizers: []string{"a.example/b"}}
}

func validate(u user.Info, obj, old runtime.Object, resource, subresource string, op admission.Operation, dryRun bool) error {
	p := New(&nodeidentity.Identifier{}, &placement.Checker{})
	a := admission.NewAttributesRecord(obj, old, schema.GroupVersionKind{}, "epic-acme", "shop",
		schema.GroupVersionResource{Group: epic.GroupName, Version: "v1", Resource: resource}, subresource, op, nil, dryRun, u)
	if !p.Handles(op) {
		return nil
	}
	return p.Validate(context.Background(), a, nil)
}

// change is one write of the status of a load balancer and a gateway proxy.
type change struct {
	change func(m *metav1.ObjectMeta, s *epic.ProxyStatus)
	// err is part of the refusal, or empty.
	err string
}

func on(f func(s *epic.ProxyStatus)) func(*metav1.ObjectMeta, *epic.ProxyStatus) {
	return func(_ *metav1.ObjectMeta, s *epic.ProxyStatus) { f(s) }
}

var changes = map[string]change{
	"nothing": {change: on(func(*epic.ProxyStatus) {})},
	"bookkeeping": {change: func(m *metav1.ObjectMeta, _ *epic.ProxyStatus) {
		m.ResourceVersion, m.ManagedFields = "6", []metav1.ManagedFieldsEntry{{}}
	}},
	"its own entry": {change: on(func(s *epic.ProxyStatus) {
		i := info("192.0.2.1")
		i.Index = 8
		s.ProxyIfInfo["mine"] = i
		s.ProxyIfIndex = 8
	})},
	"a new entry": {change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["new"] = info("192.0.2.1") })},
	"no entry":    {change: on(func(s *epic.ProxyStatus) { delete(s.ProxyIfInfo, "mine") })},
	"another's entry": {
		change: on(func(s *epic.ProxyStatus) { i := info("192.0.2.2"); i.Index = 8; s.ProxyIfInfo["other"] = i }),
		err:    `status.proxy-if-info[other].epic-node-address: Forbidden: is "192.0.2.2"`,
	},
	"another's entry made its own": {change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["other"] = info("192.0.2.1") }), err: "belongs to another node"},
	"another's entry gone":         {change: on(func(s *epic.ProxyStatus) { delete(s.ProxyIfInfo, "other") }), err: "belongs to another node"},
	"all entries gone":             {change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo = nil }), err: "belongs to another node"},
	"nobody's entry taken":         {change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["nowhere"] = info("192.0.2.1") }), err: `is ""`},
	"an entry of no proxy": {
		change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["made-up"] = info("192.0.2.1") }),
		err:    "status.proxy-if-info[made-up]: Forbidden: is the entry of a proxy that does not run on this node: proxy-placements does not list the proxy",
	},
	"an entry of another's proxy": {
		change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["elsewhere"] = info("192.0.2.1") }),
		err:    "status.proxy-if-info[elsewhere]: Forbidden: is the entry of a proxy that does not run on this node: proxy-placements lists the proxy on node 192.0.2.2",
	},
	"its own entry of a proxy that is gone, changed": {
		change: on(func(s *epic.ProxyStatus) { i := info("192.0.2.1"); i.Index = 8; s.ProxyIfInfo["left"] = i }), err: "does not run on this node",
	},
	"its own entry of a proxy that is gone, removed": {change: on(func(s *epic.ProxyStatus) { delete(s.ProxyIfInfo, "left") })},
	"another's entry of a proxy that is gone":        {change: on(func(s *epic.ProxyStatus) { delete(s.ProxyIfInfo, "theirs") }), err: "belongs to another node"},
	"another's entry of a proxy that moved here":     {change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["moved"] = info("192.0.2.1") })},
	"another's entry of it removed":                  {change: on(func(s *epic.ProxyStatus) { delete(s.ProxyIfInfo, "moved") }), err: "belongs to another node"},
	"a placement": {
		change: on(func(s *epic.ProxyStatus) {
			s.ProxyPlacements["made-up"] = "192.0.2.1"
			s.ProxyIfInfo["made-up"] = info("192.0.2.1")
		}), err: "does not run on this node",
	},
	"a placement alone":        {change: on(func(s *epic.ProxyStatus) { s.ProxyPlacements["made-up"] = "192.0.2.1" }), err: "status.proxy-placements: Forbidden"},
	"a placement moved":        {change: on(func(s *epic.ProxyStatus) { s.ProxyPlacements["other"] = "192.0.2.1" }), err: "status.proxy-placements: Forbidden"},
	"no placements":            {change: on(func(s *epic.ProxyStatus) { s.ProxyPlacements = nil }), err: "status.proxy-placements: Forbidden"},
	"its own entry given away": {change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["mine"] = info("192.0.2.2") }), err: "is not an address of this node"},
	"its own entry nobody's":   {change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["mine"] = info("") }), err: "is not an address of this node"},
	"an entry for another":     {change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["new"] = info("192.0.2.2") }), err: "can't write another node's"},
	"its address inside IPv6":  {change: on(func(s *epic.ProxyStatus) { s.ProxyIfInfo["new"] = info("::ffff:192.0.2.1") }), err: "can't write another node's"},
	"a tunnel":                 {change: on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints["10.0.0.2"] = epic.TunnelEndpoint{} }), err: "status.gue-tunnel-endpoints: Forbidden"},
	"no tunnel":                {change: on(func(s *epic.ProxyStatus) { s.GUETunnelEndpoints = nil }), err: "status.gue-tunnel-endpoints: Forbidden"},
	"Envoys":                   {change: on(func(s *epic.ProxyStatus) { s.Envoy = &epic.EnvoyStatus{Replicas: 1} }), err: "status.envoy: Forbidden"},
	"listeners":                {change: on(func(s *epic.ProxyStatus) { s.Listeners = []epic.GatewayListenerStatus{{Name: "web"}} }), err: "status.listeners: Forbidden"},
	"conditions":               {change: on(func(s *epic.ProxyStatus) { s.Conditions = []metav1.Condition{{}} }), err: "status.conditions: Forbidden"},
	"observedGeneration":       {change: on(func(s *epic.ProxyStatus) { s.ObservedGeneration = 2 }), err: "status.observedGeneration: Forbidden"},
	"quota-place":              {change: on(func(s *epic.ProxyStatus) { s.QuotaPlace = 2 }), err: "status.quota-place: Forbidden"},
	"a finalizer":              {change: func(m *metav1.ObjectMeta, _ *epic.ProxyStatus) { m.Finalizers = nil }, err: "metadata: Forbidden"},
	"a label":                  {change: func(m *metav1.ObjectMeta, _ *epic.ProxyStatus) { m.Labels = map[string]string{"a": "b"} }, err: "metadata: Forbidden"},
}

func TestNodesWriteTheirOwn(t *testing.T) {
	for name, test := range changes {
		t.Run(name, func(t *testing.T) {
			lb := &epic.LoadBalancer{ObjectMeta: meta(), Status: proxied()}
			proxy := &epic.GWProxy{ObjectMeta: meta(), Status: proxied()}
			newLB, newProxy := lb.DeepCopy(), proxy.DeepCopy()
			test.change(&newLB.ObjectMeta, &newLB.Status)
			test.change(&newProxy.ObjectMeta, &newProxy.Status)
			for _, dryRun := range []bool{false, true} {
				expect(t, validate(node, newLB, lb, "loadbalancers", "status", admission.Update, dryRun), test.err)
				expect(t, validate(node, newProxy, proxy, "gwproxies", "status", admission.Update, dryRun), test.err)
				// The same is nobody else's concern, and never a client node's.
				expect(t, validate(person, newLB, lb, "loadbalancers", "status", admission.Update, dryRun), "")
				expect(t, validate(tenants, newLB, lb, "loadbalancers", "status", admission.Update, dryRun), "client nodes can't write")
				expect(t, validate(nameless, newLB, lb, "loadbalancers", "status", admission.Update, dryRun), "not in the group")
				// And none may come by the object itself.
				expect(t, validate(node, newLB, lb, "loadbalancers", "", admission.Update, dryRun), "this is UPDATE of loadbalancers")
			}
		})
	}
}

// Without entries nothing fills in the two fields that repeat the first.
func TestInterfaceWithoutEntry(t *testing.T) {
	old := &epic.LoadBalancer{ObjectMeta: meta()}
	obj := old.DeepCopy()
	obj.Status.ProxyIfIndex = 3
	expect(t, validate(node, obj, old, "loadbalancers", "status", admission.Update, false), "status.proxy-ifindex: Forbidden")
	obj.Status.ProxyIfIndex, obj.Status.ProxyIfName = 0, "eth0"
	expect(t, validate(node, obj, old, "loadbalancers", "status", admission.Update, false), "status.proxy-ifindex: Forbidden")
	// The last entry goes, and with it its copies.
	old.Status = epic.ProxyStatus{ProxyIfInfo: map[string]epic.ProxyInterfaceInfo{"mine": info("192.0.2.1")}, ProxyIfIndex: 7, ProxyIfName: "veth7"}
	expect(t, validate(node, &epic.LoadBalancer{ObjectMeta: meta()}, old, "loadbalancers", "status", admission.Update, false), "")
	obj.Status.ProxyIfName = "veth9"
	expect(t, validate(node, obj, old, "loadbalancers", "status", admission.Update, false), "status.proxy-ifindex: Forbidden")
}

// Whatever the spec is, it is not for a node.
func TestSpec(t *testing.T) {
	old := &epic.LoadBalancer{ObjectMeta: meta(), Status: proxied()}
	obj := old.DeepCopy()
	obj.Spec.DisplayName = "mine"
	expect(t, validate(node, obj, old, "loadbalancers", "status", admission.Update, false), "like all other fields, can't be written by a node")
}

func TestInstallation(t *testing.T) {
	old := &epic.EPIC{ObjectMeta: meta(), Status: epic.EPICStatus{CurrentTunnelID: 3, Nodes: map[string]epic.EPICNodeStatus{
		"192.0.2.1": {Name: "one"}, "192.0.2.2": {Name: "two"},
	}}}
	for name, test := range map[string]struct {
		change func(*epic.EPIC)
		err    string
	}{
		"its own entry":        {change: func(o *epic.EPIC) { o.Status.Nodes["192.0.2.1"] = epic.EPICNodeStatus{Name: "one", Tunnels: 5} }},
		"its own entry gone":   {change: func(o *epic.EPIC) { delete(o.Status.Nodes, "192.0.2.1") }},
		"another's entry":      {change: func(o *epic.EPIC) { o.Status.Nodes["192.0.2.2"] = epic.EPICNodeStatus{} }, err: "status.nodes[192.0.2.2]: Forbidden"},
		"another's entry gone": {change: func(o *epic.EPIC) { delete(o.Status.Nodes, "192.0.2.2") }, err: "status.nodes[192.0.2.2]: Forbidden"},
		"a third's entry":      {change: func(o *epic.EPIC) { o.Status.Nodes["192.0.2.3"] = epic.EPICNodeStatus{} }, err: "status.nodes[192.0.2.3]: Forbidden"},
		"conditions":           {change: func(o *epic.EPIC) { o.Status.Conditions = []metav1.Condition{{}} }, err: "status.conditions: Forbidden"},
		"observedGeneration":   {change: func(o *epic.EPIC) { o.Status.ObservedGeneration = 9 }, err: "status.observedGeneration: Forbidden"},
		"counters":             {change: func(o *epic.EPIC) { o.Status.CurrentTunnelID = 9 }, err: "like all other fields"},
		"the spec":             {change: func(o *epic.EPIC) { o.Spec.EnvoyImage = "mine" }, err: "like all other fields"},
	} {
		t.Run(name, func(t *testing.T) {
			obj := old.DeepCopy()
			test.change(obj)
			expect(t, validate(node, obj, old, "epics", "status", admission.Update, false), test.err)
			expect(t, validate(person, obj, old, "epics", "status", admission.Update, false), "")
		})
	}
}

// A node creates its own object and writes its status, and no more of it.
func TestReport(t *testing.T) {
	report := func(address string) *epic.GatewayNode {
		return &epic.GatewayNode{
			ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: address, UID: "1", ResourceVersion: "5", Generation: 1, Finalizers: []string{"a.example/b"}},
			Spec:       epic.GatewayNodeSpec{Address: address}, Status: epic.GatewayNodeStatus{NodeName: "one"},
		}
	}
	const resource = "gatewaynodes"
	for name, test := range map[string]struct {
		change func(*epic.GatewayNode)
		err    string
	}{
		"a heartbeat": {change: func(o *epic.GatewayNode) { o.Status.HeartbeatTime = metav1.Now() }},
		"anything in its status": {change: func(o *epic.GatewayNode) {
			o.Status = epic.GatewayNodeStatus{Tunnels: 9, TunnelStates: &epic.TunnelStates{Up: []byte{1, 0}}, Conditions: []metav1.Condition{{}}}
		}},
		"bookkeeping": {change: func(o *epic.GatewayNode) { o.ResourceVersion, o.ManagedFields = "6", []metav1.ManagedFieldsEntry{{}} }},
		"a label":     {change: func(o *epic.GatewayNode) { o.Labels = map[string]string{"a": "b"} }, err: "metadata: Forbidden"},
		"a finalizer": {change: func(o *epic.GatewayNode) { o.Finalizers = nil }, err: "metadata: Forbidden"},
		"the address": {change: func(o *epic.GatewayNode) { o.Spec.Address = "192.0.2.2" }, err: "metadata: Forbidden"},
	} {
		own, other := report("192.0.2.1"), report("192.0.2.2")
		mine, theirs := own.DeepCopy(), other.DeepCopy()
		test.change(mine)
		test.change(theirs)
		for _, dryRun := range []bool{false, true} {
			expect(t, validate(node, mine, own, resource, "status", admission.Update, dryRun), test.err)
			expect(t, validate(node, theirs, other, resource, "status", admission.Update, dryRun), `spec.address: Forbidden: is "192.0.2.2", so the object belongs to another node`)
			expect(t, validate(tenants, mine, own, resource, "status", admission.Update, dryRun), "client nodes can't write")
			expect(t, validate(nameless, mine, own, resource, "status", admission.Update, dryRun), "not in the group")
			expect(t, validate(person, theirs, other, resource, "status", admission.Update, dryRun), "")
			expect(t, validate(node, mine, own, resource, "", admission.Update, dryRun), "this is UPDATE of gatewaynodes")
		}
		if t.Failed() {
			t.Fatal(name)
		}
	}
	expect(t, validate(node, report("192.0.2.1"), nil, resource, "status", admission.Update, false), "no object to compare with")
	for name, test := range map[string]struct {
		change func(*epic.GatewayNode)
		err    string
	}{
		"its own":          {change: func(*epic.GatewayNode) {}},
		"another's":        {change: func(o *epic.GatewayNode) { o.Name, o.Spec.Address = "192.0.2.2", "192.0.2.2" }, err: "belongs to another node"},
		"nobody's":         {change: func(o *epic.GatewayNode) { o.Spec.Address = "" }, err: "belongs to another node"},
		"with labels":      {change: func(o *epic.GatewayNode) { o.Labels = map[string]string{"a": "b"} }, err: "labels, annotations"},
		"with annotations": {change: func(o *epic.GatewayNode) { o.Annotations = map[string]string{"a": "b"} }, err: "labels, annotations"},
		"with a finalizer": {change: func(o *epic.GatewayNode) { o.Finalizers = []string{"a.example/b"} }, err: "labels, annotations"},
		"with an owner":    {change: func(o *epic.GatewayNode) { o.OwnerReferences = []metav1.OwnerReference{{Name: "a"}} }, err: "labels, annotations"},
	} {
		o := report("192.0.2.1")
		o.Finalizers = nil
		test.change(o)
		expect(t, validate(node, o, nil, resource, "", admission.Create, false), test.err)
		expect(t, validate(tenants, o, nil, resource, "", admission.Create, false), "client nodes can't write")
		expect(t, validate(node, o, nil, resource, "status", admission.Create, false), "this is CREATE of gatewaynodes/status")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	expect(t, validate(node, nil, report("192.0.2.1"), resource, "", admission.Delete, false), "this is DELETE of gatewaynodes")
}

// Every other request that writes is refused, whatever is in it.
func TestOtherWrites(t *testing.T) {
	lb := &epic.LoadBalancer{ObjectMeta: meta(), Status: proxied()}
	for _, u := range []user.Info{node, tenants, nameless} {
		for _, resource := range []string{
			"epics", "serviceprefixes", "accounts", "lbservicegroups", "loadbalancers", "remoteendpoints",
			"gwproxies", "gwroutes", "gwendpointslices", "gatewaynodes", "whatevercomes",
		} {
			for _, op := range []admission.Operation{admission.Create, admission.Update, admission.Delete, admission.Connect} {
				expect(t, validate(u, lb, lb, resource, "", op, false), "is forbidden")
				expect(t, validate(person, lb, lb, resource, "", op, false), "")
			}
			if resource != "loadbalancers" && resource != "gwproxies" && resource != "epics" {
				expect(t, validate(u, &epic.Account{}, &epic.Account{}, resource, "status", admission.Update, false), "is forbidden")
			}
		}
		// A collection has no name and no object.
		expect(t, validate(u, nil, nil, "loadbalancers", "", admission.Delete, false), "is forbidden")
		expect(t, validate(u, lb, nil, "loadbalancers", "status", admission.Update, false), "is forbidden")
	}
	p := New(&nodeidentity.Identifier{}, &placement.Checker{})
	other := admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, "", "", schema.GroupVersionResource{Resource: "pods"}, "", admission.Create, nil, false, node)
	if err := p.Validate(t.Context(), other, nil); err != nil {
		t.Errorf("what is not EPIC's: %v", err)
	}
}

func expect(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %q", err, want)
	}
}

// unknown can't say where proxies run.
type unknown struct{}

func (unknown) Check(context.Context, placement.Object, map[string]string, string, string) error {
	return apierrors.NewServiceUnavailable("try again")
}

// An unknown placement is not a refusal that a node would take for final, and it lets
// nothing pass either.
func TestUnknownPlacement(t *testing.T) {
	old := &epic.LoadBalancer{ObjectMeta: meta(), Status: proxied()}
	for name, test := range map[string]struct {
		change func(*epic.LoadBalancer)
		passed func(error) bool
	}{
		"a new entry":       {func(o *epic.LoadBalancer) { o.Status.ProxyIfInfo["new"] = info("192.0.2.1") }, apierrors.IsServiceUnavailable},
		"more than it may":  {func(o *epic.LoadBalancer) { o.Status.ProxyIfInfo["new"] = info("192.0.2.1"); o.Status.QuotaPlace = 9 }, apierrors.IsForbidden},
		"an entry removed":  {func(o *epic.LoadBalancer) { delete(o.Status.ProxyIfInfo, "mine") }, func(err error) bool { return err == nil }},
		"another's removed": {func(o *epic.LoadBalancer) { delete(o.Status.ProxyIfInfo, "other") }, apierrors.IsForbidden},
	} {
		obj := old.DeepCopy()
		test.change(obj)
		a := admission.NewAttributesRecord(obj, old, schema.GroupVersionKind{}, "epic-acme", "shop",
			schema.GroupVersionResource{Group: epic.GroupName, Version: "v1", Resource: "loadbalancers"}, "status", admission.Update, nil, false, node)
		if err := New(&nodeidentity.Identifier{}, unknown{}).Validate(t.Context(), a, nil); !test.passed(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

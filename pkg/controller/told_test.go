// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
	"github.com/acnodal/epic/test/tools/kubectltool"
)

// raw is what all kinds have.
type raw struct {
	Metadata metav1.ObjectMeta
	Status   struct {
		ObservedGeneration int64
		Conditions         []metav1.Condition
	}
}

// raw reads an object of any kind.
func (w *world) raw(o object) *raw {
	w.t.Helper()
	data, err := w.api.RESTClient().Get().Namespace(o.ns).Resource(o.resource).Name(o.name).SetHeader("Accept", "application/json").DoRaw(context.Background())
	must(w.t)(nil, err)
	got := &raw{}
	must(w.t)(nil, json.Unmarshal(data, got))
	return got
}

// told waits until an object has the conditions, for its present spec.
func (w *world) told(o object, want string) {
	w.t.Helper()
	got := ""
	defer func() {
		if w.t.Failed() {
			w.t.Logf("%v has %s, and should have %s", o, got, want)
		}
	}()
	w.until(fmt.Sprintf("%v has %s", o, want), func() bool {
		r := w.raw(o)
		got = shown(r.Status.Conditions)
		for _, c := range r.Status.Conditions {
			if c.ObservedGeneration != r.Metadata.Generation || c.LastTransitionTime.IsZero() {
				return false
			}
		}
		return got == want && r.Status.ObservedGeneration == r.Metadata.Generation
	})
}

// TestConditions checks that a controller sets the conditions of each kind on a
// real server, as things come and go, and that kubectl can wait for them.
func TestConditions(t *testing.T) {
	w := newWorld(t)
	stop := w.start()
	// In this order: the first takes the group away that the others use.
	t.Run("Account", func(t *testing.T) { testAccountTold(w.in(t)) })
	t.Run("Prefix", func(t *testing.T) { testPrefixTold(w.in(t)) })
	t.Run("RemoteEndpoint", func(t *testing.T) { testEndpointTold(w.in(t)) })
	t.Run("Route", func(t *testing.T) { testRouteTold(w.in(t)) })
	t.Run("Tunnels", func(t *testing.T) { testTunnelsTold(w.in(t)) })
	t.Run("Quiet", func(t *testing.T) { testToldQuietly(w.in(t), stop) })
}

func (w *world) patch(o object, data string) {
	w.t.Helper()
	must(w.t)(nil, w.api.RESTClient().Patch(types.MergePatchType).Namespace(o.ns).Resource(o.resource).Name(o.name).Body([]byte(data)).Do(context.Background()).Error())
}

func (w *world) remove(o object) {
	w.t.Helper()
	must(w.t)(nil, w.api.RESTClient().Delete().Namespace(o.ns).Resource(o.resource).Name(o.name).Do(context.Background()).Error())
}

func (w *world) group(ns, name, prefix string) object {
	w.t.Helper()
	must(w.t)(w.api.LBServiceGroups(ns).Create(w.t.Context(), &epicv1.LBServiceGroup{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningServicePrefixLabel: prefix}},
	}, metav1.CreateOptions{}))
	return object{"lbservicegroups", ns, name}
}

// TestManyGroups checks that a pool whose last address comes and goes does not have
// all groups written that share it, and that they hear of it in the end.
func TestManyGroups(t *testing.T) {
	w := newWorld(t)
	w.poolSettle = time.Hour
	stop := w.start()
	must(t)(w.api.ServicePrefixes(epic.ConfigNamespace).Create(t.Context(), &epicv1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "two"},
		Spec:       epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "10.202.0.0/31", Subnet: "10.202.0.0/24", Aggregation: "default"}},
	}, metav1.CreateOptions{}))
	prefix := object{"serviceprefixes", epic.ConfigNamespace, "two"}
	const plenty, exhausted = "AddressesAvailable=True/Available Ready=True/Ready", "AddressesAvailable=False/Exhausted Ready=False/Exhausted"
	w.told(prefix, plenty)
	var groups []object
	for i := range 50 {
		groups = append(groups, w.group(epic.ConfigNamespace, fmt.Sprint("g", i), "two"))
	}
	before := map[object]string{}
	for _, group := range groups {
		w.told(group, plenty)
		before[group] = w.raw(group).Metadata.ResourceVersion
	}
	ns := w.account("many")
	balance := func(name string) {
		t.Helper()
		must(t)(w.api.LoadBalancers(ns).Create(t.Context(), &epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: epicv1.LoadBalancerSpec{ServiceGroup: "g0"}}, metav1.CreateOptions{}))
	}
	balance("stays")
	for i := range 3 {
		balance("comes")
		w.told(prefix, exhausted)
		// What would be written by now is in the queue before this one.
		w.told(w.group(epic.ConfigNamespace, fmt.Sprint("late", i), "two"), exhausted)
		w.remove(object{"loadbalancers", ns, "comes"})
		w.told(prefix, plenty)
	}
	for group, version := range before {
		if now := w.raw(group).Metadata.ResourceVersion; now != version {
			t.Errorf("%v was written", group)
		}
	}
	balance("comes")
	w.told(prefix, exhausted)
	stop()
	w.poolSettle = 0
	w.start()
	for _, group := range groups {
		w.told(group, exhausted)
	}
}

const wellToldAccount = "QuotaAvailable=True/Available GroupsAvailable=True/Available Ready=True/Ready"

func testAccountTold(w *world) {
	account := object{"accounts", w.account("told"), "told"}
	w.told(account, wellToldAccount)
	w.patch(account, `{"spec": {"proxyLimit": 1}}`)
	lb := w.loadBalancer(account.ns, "web")
	const full = "QuotaAvailable=False/QuotaExhausted GroupsAvailable=True/Available Ready=True/Ready"
	w.told(account, full)
	w.patch(account, `{"spec": {"proxyLimit": 2}}`)
	w.told(account, wellToldAccount)
	w.gwProxy(account.ns, "gateway")
	w.told(account, full)
	w.patch(lb, `{"spec": {"upstream-clusters": []}}`)
	w.remove(lb)
	w.told(account, wellToldAccount)
	w.remove(object{"gwproxies", account.ns, "gateway"})

	// The group that all may use goes, one account gets its own, and the first
	// comes back.
	other := object{"accounts", w.account("other"), "other"}
	w.told(other, wellToldAccount)
	offered := object{"lbservicegroups", epic.ConfigNamespace, "offered"}
	w.remove(offered)
	const none = "QuotaAvailable=True/Available GroupsAvailable=False/NoGroup Ready=False/NoGroup"
	w.told(account, none)
	w.told(other, none)
	own := w.group(other.ns, "own", "pool")
	w.told(other, wellToldAccount)
	w.told(own, "AddressesAvailable=True/Available Ready=True/Ready")
	w.told(account, none)
	w.group(epic.ConfigNamespace, "offered", "pool")
	w.told(account, wellToldAccount)
	w.remove(own)
	w.told(other, wellToldAccount)
}

func testPrefixTold(w *world) {
	must(w.t)(w.api.ServicePrefixes(epic.ConfigNamespace).Create(w.t.Context(), &epicv1.ServicePrefix{ObjectMeta: metav1.ObjectMeta{Name: "small"}}, metav1.CreateOptions{}))
	prefix := object{"serviceprefixes", epic.ConfigNamespace, "small"}
	group := w.group(epic.ConfigNamespace, "small", "small")
	const none, plenty, exhausted = "AddressesAvailable=False/NoPool Ready=False/NoPool", "AddressesAvailable=True/Available Ready=True/Ready", "AddressesAvailable=False/Exhausted Ready=False/Exhausted"
	w.told(prefix, none)
	w.told(group, none)
	w.patch(prefix, `{"spec": {"public-pool": {"pool": "10.201.0.0/30", "subnet": "10.201.0.0/24", "aggregation": "default"}}}`)
	w.told(prefix, plenty)
	w.told(group, plenty)
	ns := w.account("small")
	// Of a prefix the first address of the subnet is not assigned.
	for i := range 3 {
		must(w.t)(w.api.LoadBalancers(ns).Create(w.t.Context(), &epicv1.LoadBalancer{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("lb", i)}, Spec: epicv1.LoadBalancerSpec{ServiceGroup: "small"},
		}, metav1.CreateOptions{}))
	}
	w.told(prefix, exhausted)
	w.told(group, exhausted)
	w.patch(prefix, `{"spec": {"public-pool": {"pool": "10.201.0.0/29"}}}`)
	w.told(prefix, plenty)
	w.told(group, plenty)
	w.patch(prefix, `{"spec": {"public-pool": {"pool": "10.201.0.0/30"}}}`)
	w.told(prefix, exhausted)
	w.remove(object{"loadbalancers", ns, "lb0"})
	w.told(prefix, plenty)
	w.told(group, plenty)

	// The other prefix has addresses, and no gateway node was heard of.
	installation := object{"epics", epic.ConfigNamespace, epic.ConfigName}
	w.told(installation, "NodesReady=False/NoNodes AddressesAvailable=True/Available Ready=False/NoNodes")
	w.beat("172.16.0.1")
	w.told(installation, "NodesReady=True/AllReady AddressesAvailable=True/Available Ready=True/Ready")
}

func testEndpointTold(w *world) {
	lb := w.loadBalancer(w.account("endpoint"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.endpoint(lb, "b", "10.0.0.2", "")
	a, b := object{"remoteendpoints", lb.ns, "a"}, object{"remoteendpoints", lb.ns, "b"}
	w.told(a, "Accepted=True/Accepted TunnelReady=False/NoProxies Ready=False/NoProxies")
	w.told(b, "Accepted=True/Accepted TunnelReady=False/EndpointWithoutNode Ready=False/EndpointWithoutNode")
	w.pod(lb, "p1", "172.16.0.1")
	w.told(a, "Accepted=True/Accepted TunnelReady=True/Assigned Ready=True/Ready")
	w.patch(b, `{"spec": {"node-address": "192.168.1.2"}}`)
	w.told(b, "Accepted=True/Accepted TunnelReady=True/Assigned Ready=True/Ready")
	w.told(lb, "TunnelsReady=True/Assigned EndpointsResolved=True/Resolved Ready=True/Ready")
	direct := w.directLoadBalancer(lb.ns, "direct")
	w.endpoint(direct, "c", "10.0.0.1", "192.168.1.1")
	w.told(object{"remoteendpoints", lb.ns, "c"}, "Accepted=True/Accepted TunnelReady=True/NotNeeded Ready=True/Ready")
	w.patch(lb, `{"spec": {"upstream-clusters": ["d"]}}`)
	w.told(a, "Accepted=False/ClusterNotListed TunnelReady=False/ClusterNotListed Ready=False/ClusterNotListed")
	w.told(lb, "TunnelsReady=False/NoEndpoints EndpointsResolved=False/ClusterNotListed Ready=False/NoEndpoints")
}

func testRouteTold(w *world) {
	proxy := object{"gwproxies", w.account("route"), "web"}
	route, slice := object{"gwroutes", proxy.ns, "r"}, object{"gwendpointslices", proxy.ns, "s"}
	w.slice(proxy.ns, "s", "svc", "192.168.1.1")
	w.told(slice, "InUse=False/NotReferenced NodesKnown=True/Known Ready=False/NotReferenced")
	w.route(proxy, "r", "svc", 8080)
	w.told(slice, "InUse=True/Referenced NodesKnown=True/Known Ready=True/Ready")
	w.told(route, "Accepted=False/ParentNotFound ResolvedRefs=True/Resolved Ready=False/ParentNotFound")
	w.gwProxy(proxy.ns, "web")
	w.told(route, "Accepted=True/Accepted ResolvedRefs=True/Resolved Ready=True/Ready")
	w.told(proxy, "TunnelsReady=False/NoProxies EndpointsResolved=True/Resolved Ready=False/NoProxies")
	w.pod(proxy, "p1", "172.16.0.1")
	w.told(proxy, "TunnelsReady=True/Assigned EndpointsResolved=True/Resolved Ready=True/Ready")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.NodeAddresses = map[string]string{} })
	w.told(slice, "InUse=True/Referenced NodesKnown=False/EndpointWithoutNode Ready=False/EndpointWithoutNode")
	w.change(proxy.ns, "s", func(s *epicv1.GWEndpointSliceSpec) { s.Endpoints = s.Endpoints[:0] })
	w.told(route, "Accepted=True/Accepted ResolvedRefs=True/Resolved Ready=False/NoEndpoints")
	w.remove(slice)
	w.told(route, "Accepted=True/Accepted ResolvedRefs=False/BackendWithoutSlices Ready=False/BackendWithoutSlices")
	w.remove(proxy)
	w.told(route, "Accepted=False/ParentNotFound ResolvedRefs=False/BackendWithoutSlices Ready=False/ParentNotFound")
}

// testToldQuietly checks that kubectl can wait for the condition Ready of each
// kind, and that a second controller writes nothing to what the first has told.
func testToldQuietly(w *world, stop func()) {
	ns := w.account("quiet")
	w.beat("172.16.0.1")
	lb := w.loadBalancer(ns, "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	w.pod(lb, "p1", "172.16.0.1")
	proxy := w.gwProxy(ns, "web")
	w.pod(proxy, "p1", "172.16.0.1")
	w.route(proxy, "r", "svc", 8080)
	w.slice(ns, "s", "svc", "192.168.1.1")
	all := []object{
		{"epics", epic.ConfigNamespace, epic.ConfigName}, {"serviceprefixes", epic.ConfigNamespace, "pool"},
		{"lbservicegroups", epic.ConfigNamespace, "offered"}, {"accounts", ns, "quiet"},
		lb, {"remoteendpoints", ns, "a"}, proxy, {"gwroutes", ns, "r"}, {"gwendpointslices", ns, "s"},
	}
	for _, o := range all {
		w.until(fmt.Sprintf("%v is Ready", o), func() bool { return strings.HasSuffix(shown(w.raw(o).Status.Conditions), "Ready=True/Ready") })
	}
	w.kubectlWaits(all)

	versions := func() map[object]string {
		has := map[object]string{}
		for _, o := range all {
			raw := w.raw(o)
			has[o] = raw.Metadata.ResourceVersion
			if o.resource == "epics" {
				// The server writes this one when it is read after an ID was assigned.
				has[o] = shown(raw.Status.Conditions)
			}
		}
		return has
	}
	stop()
	w.beat("172.16.0.1")
	before := versions()
	stop = w.start()
	// One more of each kind is told later than those that are there.
	late := w.loadBalancer(w.account("late"), "late")
	w.endpoint(late, "late", "10.0.0.1", "")
	w.slice(late.ns, "late", "svc", "192.168.1.1")
	w.route(object{"gwproxies", late.ns, "none"}, "late", "svc", 80)
	w.group(late.ns, "late", "pool")
	for _, o := range []object{{"accounts", late.ns, "late"}, {"lbservicegroups", late.ns, "late"}, late, {"remoteendpoints", late.ns, "late"}, {"gwroutes", late.ns, "late"}, {"gwendpointslices", late.ns, "late"}} {
		w.until(fmt.Sprintf("%v is told of", o), func() bool { return len(w.raw(o).Status.Conditions) > 1 })
	}
	stop()
	if after := versions(); !maps.Equal(before, after) {
		w.t.Errorf("something was written though nothing changed: %v and %v", before, after)
	}
}

// kubectlWaits waits for the objects with kubectl, and reads their tables.
func (w *world) kubectlWaits(all []object) {
	w.t.Helper()
	path := kubectltool.Path(w.t)
	run := func(args ...string) string {
		w.t.Helper()
		cmd := exec.CommandContext(w.t.Context(), path, append([]string{"--kubeconfig", w.kubeconfig, "--cache-dir", w.kubeconfig + ".cache"}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(w.kubeconfig)}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			w.t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, &out)
		}
		return out.String()
	}
	for _, o := range all {
		kind := o.resource + "." + epic.GroupName
		run("wait", "--for=condition=Ready", "--timeout="+patience.String(), "-n", o.ns, kind+"/"+o.name)
		lines := strings.Split(run("get", "-n", o.ns, kind, o.name), "\n")
		if column := slices.Index(strings.Fields(lines[0]), "READY"); column < 0 || !strings.Contains(lines[1], "True") {
			w.t.Errorf("the table of %s does not say that it is ready:\n%s", o.resource, strings.Join(lines, "\n"))
		}
	}
	if out := run("wait", "--for=condition=Ready=False", "--timeout="+patience.String(), "-n", epic.AccountNamespace("endpoint"), "remoteendpoints.epic.acnodal.io/a"); !strings.Contains(out, "condition met") {
		w.t.Errorf("kubectl said %q", out)
	}
}

// testTunnelsTold has gateway nodes report on the tunnels of a load balancer and of a
// gateway proxy.
func testTunnelsTold(w *world) {
	const one, two = "172.16.7.1", "172.16.7.2"
	lb := w.loadBalancer(w.account("tunnels"), "web")
	w.endpoint(lb, "a", "10.0.0.1", "192.168.1.1")
	rep := object{"remoteendpoints", lb.ns, "a"}
	w.pod(lb, "p1", one)
	proxy := w.gwProxy(lb.ns, "gateway")
	w.route(proxy, "r", "svc", 8080)
	w.slice(lb.ns, "s", "svc", "192.168.1.1")
	route, slice := object{"gwroutes", lb.ns, "r"}, object{"gwendpointslices", lb.ns, "s"}
	w.pod(proxy, "p1", one)
	w.pod(proxy, "p2", two)
	ids := w.eventually(lb, ready, "192.168.1.1>"+one)
	all := w.eventually(proxy, ready, "192.168.1.1>"+one, "192.168.1.1>"+two)
	lbOne, proxyOne, proxyTwo := uint32(ids["192.168.1.1>"+one]), uint32(all["192.168.1.1>"+one]), uint32(all["192.168.1.1>"+two])
	report := func(node string, up, down []uint32) {
		w.report(node, epicv1.GatewayNodeStatus{TunnelStates: &epicv1.TunnelStates{Up: idset.Of(up...).Encode(), Down: idset.Of(down...).Encode()}})
	}
	// expect has the reasons of TunnelReady and TunnelsUp and Ready.
	expect := func(what, endpoint, balancer, gateway, others string) {
		w.t.Helper()
		began := time.Now()
		const accepted, assigned = "Accepted=True/Accepted ", "TunnelsReady=True/Assigned EndpointsResolved=True/Resolved "
		w.told(rep, accepted+endpoint)
		w.told(lb, assigned+balancer)
		w.told(proxy, assigned+gateway)
		w.told(route, "Accepted=True/Accepted ResolvedRefs=True/Resolved "+others)
		w.told(slice, "InUse=True/Referenced NodesKnown=True/Known "+others)
		w.t.Logf("%s: told after %s", what, time.Since(began).Round(time.Millisecond))
	}
	const (
		fine   = "Ready=True/Ready"
		up     = fine + " TunnelsUp=True/Up"
		some   = fine + " TunnelsUp=False/SomeTunnelsDown"
		closed = "Ready=False/AllTunnelsDown TunnelsUp=False/AllTunnelsDown"
	)
	expect("no report", "TunnelReady=True/Assigned "+fine, fine, fine, fine)
	report(one, []uint32{lbOne, proxyOne}, nil)
	expect("up", "TunnelReady=True/Up "+fine, up, up, up)
	report(one, nil, []uint32{lbOne, proxyOne})
	expect("down", "TunnelReady=False/AllTunnelsDown Ready=False/AllTunnelsDown", closed, some, some)
	// The second node can't speak for the first.
	report(two, []uint32{lbOne, proxyOne}, []uint32{proxyTwo})
	expect("all down", "TunnelReady=False/AllTunnelsDown Ready=False/AllTunnelsDown", closed, closed, closed)
	report(one, []uint32{lbOne, proxyOne}, nil)
	expect("up again", "TunnelReady=True/Up "+fine, up, some, some)
	for _, node := range []string{one, two} {
		must(w.t)(nil, w.api.GatewayNodes(epic.ConfigNamespace).Delete(context.Background(), node, metav1.DeleteOptions{}))
	}
	const unknown = fine + " TunnelsUp=Unknown/NotReported"
	expect("objects deleted", "TunnelReady=True/Assigned "+fine, unknown, unknown, unknown)
}

// SPDX-License-Identifier: Apache-2.0

package tunnelkeys

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/placement"
	"github.com/acnodal/epic/pkg/tunnelkey"
)

const masters = "2 ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoOEhYaHiImKi4yNjo+QkZKT\n1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

type fixed string

func (f fixed) Current() (*tunnelkey.Masters, error) {
	if f == "" {
		return nil, tunnelkey.ErrNone
	}
	return tunnelkey.Parse([]byte(f))
}

// objects has one object.
type objects struct{ obj runtime.Object }

func (o objects) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if o.obj == nil {
		return nil, apierrors.NewNotFound(epic.Resource("loadbalancers"), name)
	}
	return o.obj, nil
}

// nodes are the Nodes of a cluster, of which one has an address that a client
//
// node has too.
type nodes struct{}

func (nodes) Addresses(_ context.Context, name string) ([]netip.Addr, error) {
	return []netip.Addr{map[string]netip.Addr{"one": netip.MustParseAddr("192.0.2.1"), "private": netip.MustParseAddr("10.0.0.1")}[name]}, nil
}

const gateway = "system:serviceaccount:epic-node:epic-node"

var identifier = &nodeidentity.Identifier{GatewayAccounts: []string{gateway}, Nodes: nodes{}}

// pod is the node program's pod on a Node.
func pod(node string) user.Info {
	return &user.DefaultInfo{Name: gateway, Extra: map[string][]string{serviceaccount.NodeNameKey: {node}}}
}

func pair(id int32) epic.GUETunnelEndpoint { return epic.GUETunnelEndpoint{TunnelID: id} }

// shop has two tenant nodes with tunnels to two gateway nodes, one of which has
// no ID yet, and a node without tunnels.
func shop() *epic.LoadBalancer {
	return &epic.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "shop", UID: "u", ResourceVersion: "7", Labels: map[string]string{"a": "b"}},
		Status: epic.ProxyStatus{GUETunnelEndpoints: map[string]epic.TunnelEndpoint{
			"10.0.0.1": {EPICEndpoints: map[string]epic.GUETunnelEndpoint{"192.0.2.1": pair(4), "192.0.2.2": pair(3), "192.0.2.3": pair(5), "192.0.2.4": pair(6)}},
			"10.0.0.2": {EPICEndpoints: map[string]epic.GUETunnelEndpoint{"192.0.2.1": pair(2), "192.0.2.2": pair(0)}},
			"10.0.0.3": {},
		}, ProxyIfInfo: map[string]epic.ProxyInterfaceInfo{
			"pod-a": {EPICNodeAddress: "192.0.2.1"}, "pod-b": {EPICNodeAddress: "192.0.2.2"},
			// What a node reports is not enough.
			"made-up": {EPICNodeAddress: "192.0.2.3"}, "pod-b-too": {EPICNodeAddress: "10.0.0.1"},
		}, ProxyPlacements: map[string]string{"pod-a": "192.0.2.1", "pod-b": "192.0.2.2", "pod-c": "192.0.2.4"}},
	}
}

func node(address string) user.Info {
	return &user.DefaultInfo{Name: "epic:node:" + address, Groups: []string{nodeidentity.Group}}
}

func get(obj runtime.Object, m Masters, u user.Info, namespace string) (*epic.TunnelKeys, error) {
	ctx := genericapirequest.WithNamespace(genericapirequest.NewContext(), namespace)
	if u != nil {
		ctx = genericapirequest.WithUser(ctx, u)
	}
	out, err := NewREST("loadbalancers", objects{obj}, m, identifier, &placement.Checker{}).Get(ctx, "shop", &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return out.(*epic.TunnelKeys), nil
}

func TestWhoGetsWhat(t *testing.T) {
	tenant := func(name string) user.Info { return &user.DefaultInfo{Name: "system:serviceaccount:" + name} }
	for name, test := range map[string]struct {
		user user.Info
		want string // the IDs of the tunnels, or part of the refusal
	}{
		"a person":                     {&user.DefaultInfo{Name: "jane"}, "2 3 4 5 6"},
		"a gateway node":               {node("192.0.2.1"), "2 4"},
		"another gateway node":         {node("192.0.2.2"), "3"},
		"a host of the tenant's":       {node("10.0.0.2"), "2"},
		"one that made a proxy up":     {node("192.0.2.3"), ""},
		"one that reports no proxy":    {node("192.0.2.4"), ""},
		"a gateway's pod":              {pod("one"), "2 4"},
		"a pod on a tenant's address":  {pod("private"), ""},
		"a node without tunnels":       {node("10.0.0.3"), ""},
		"a node that is in none":       {node("192.0.2.9"), ""},
		"a tenant's node":              {tenant("epic-acme:node.10.0.0.1"), "3 4 5 6"},
		"a gateway node's address":     {tenant("epic-acme:node.192.0.2.1"), ""},
		"a node of another tenant":     {tenant("epic-other:node.10.0.0.1"), "node of namespace epic-other"},
		"a node's name alone":          {&user.DefaultInfo{Name: "epic:node:192.0.2.1"}, "not in the group"},
		"a node's group alone":         {&user.DefaultInfo{Name: "jane", Groups: []string{nodeidentity.Group}}, "is not of the form epic:node:ADDRESS"},
		"an account with a node's dot": {tenant("epic-acme:node.exporter"), "begin with node."},
		"nobody":                       {nil, "require an authenticated user"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := get(shop(), fixed(masters), test.user, "epic-acme")
			if err != nil {
				if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want) || test.want == "" {
					t.Errorf("got %v, want %q", err, test.want)
				}
				return
			}
			var ids []string
			for _, tunnel := range out.Tunnels {
				ids = append(ids, fmt.Sprint(tunnel.TunnelID))
			}
			if got := strings.Join(ids, " "); got != test.want || out.Tunnels == nil {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestNodesOfClusters shows that a node of one client cluster gets no key of an object
// through which only other clusters of the account publish, whatever address it has.
func TestNodesOfClusters(t *testing.T) {
	node := func(cluster string) user.Info {
		return &user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node." + cluster + "10.0.0.2"}
	}
	lb := shop()
	lb.Spec.UpstreamClusters = []string{"paris", "oslo"}
	proxy := func(labels, annotations map[string]string) *epic.GWProxy {
		out := &epic.GWProxy{ObjectMeta: shop().ObjectMeta, Status: shop().Status}
		out.Labels, out.Annotations = labels, annotations
		return out
	}
	own := map[string]string{epic.OwningClusterLabel: "paris"}
	for name, test := range map[string]struct {
		object  runtime.Object
		cluster string
		want    int
	}{
		"listed":                  {lb, "paris.", 1},
		"listed second":           {lb, "oslo.", 1},
		"not listed":              {lb, "rome.", 0},
		"of the account":          {lb, "", 1},
		"of no cluster's":         {shop(), "paris.", 0},
		"own proxy":               {proxy(own, nil), "paris.", 1},
		"another's proxy":         {proxy(own, nil), "rome.", 0},
		"shared proxy":            {proxy(own, map[string]string{epic.OwnerAnnotation("paris"): "u", epic.OwnerAnnotation("rome"): "v"}), "rome.", 1},
		"proxy shared by others":  {proxy(own, map[string]string{epic.OwnerAnnotation("paris"): "u", epic.OwnerAnnotation("oslo"): "v"}), "rome.", 0},
		"proxy made by hand":      {proxy(nil, nil), "rome.", 1},
		"proxy of another, named": {proxy(own, nil), "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := get(test.object, fixed(masters), node(test.cluster), "epic-acme")
			if err != nil || len(out.Tunnels) != test.want {
				t.Errorf("got %+v, %v; want %d", out, err, test.want)
			}
		})
	}
}

func TestContent(t *testing.T) {
	tenantNode := &user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.10.0.0.2"}
	out, err := get(shop(), fixed(masters), tenantNode, "epic-acme")
	if err != nil || out.Namespace != "epic-acme" || out.Name != "shop" || out.UID != "u" || out.ResourceVersion != "7" || out.Labels != nil {
		t.Fatalf("%+v, %v", out, err)
	}
	m, err := fixed(masters).Current()
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.Derive("u", 2)
	if err != nil {
		t.Fatal(err)
	}
	got := out.Tunnels[0]
	if got.TunnelID != 2 || got.TenantNode != "10.0.0.2" || got.EPICNode != "192.0.2.1" || len(got.Keys) != 2 {
		t.Fatalf("%+v", got)
	}
	for i, key := range got.Keys {
		if key.ID != want[i].ID || !bytes.Equal(key.Key, want[i].Secret) {
			t.Errorf("key %d is not the one that follows from master key %d", i, want[i].ID)
		}
	}
	proxy := &epic.GWProxy{ObjectMeta: shop().ObjectMeta, Status: shop().Status}
	same, err := get(proxy, fixed(masters), tenantNode, "epic-acme")
	if err != nil || len(same.Tunnels) != 1 {
		t.Errorf("a gateway proxy: %+v, %v", same, err)
	}
	// An object that is made again has other keys.
	again := shop()
	again.UID = "v"
	if other, err := get(again, fixed(masters), tenantNode, "epic-acme"); err != nil || bytes.Equal(other.Tunnels[0].Keys[0].Key, got.Keys[0].Key) {
		t.Errorf("the key outlived its object: %v", err)
	}
}

func TestFailures(t *testing.T) {
	jane := &user.DefaultInfo{Name: "jane"}
	if _, err := get(nil, fixed(masters), jane, "epic-acme"); !apierrors.IsNotFound(err) {
		t.Errorf("no object: %v", err)
	}
	if _, err := get(shop(), fixed(""), jane, "epic-acme"); !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "--tunnel-key-file") {
		t.Errorf("no master keys: %v", err)
	}
	if _, err := get(&epic.Account{}, fixed(masters), jane, "epic-acme"); !apierrors.IsInternalError(err) {
		t.Errorf("a kind without tunnels: %v", err)
	}
}

// unknown can't say where proxies run.
type unknown struct{}

func (unknown) Runs(context.Context, placement.Object, map[string]string, []string, string) (bool, error) {
	return false, apierrors.NewServiceUnavailable("try again")
}

// An unknown placement does not give an empty list: the node would do without keys.
func TestUnknownPlacement(t *testing.T) {
	ctx := genericapirequest.WithNamespace(genericapirequest.NewContext(), "epic-acme")
	r := NewREST("loadbalancers", objects{shop()}, fixed(masters), &nodeidentity.Identifier{}, unknown{})
	if _, err := r.Get(genericapirequest.WithUser(ctx, node("192.0.2.1")), "shop", &metav1.GetOptions{}); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("got %v", err)
	}
	// Whoever has no proxy there does not ask.
	out, err := r.Get(genericapirequest.WithUser(ctx, node("192.0.2.9")), "shop", &metav1.GetOptions{})
	if err != nil || len(out.(*epic.TunnelKeys).Tunnels) != 0 {
		t.Errorf("got %v, %v", out, err)
	}
}

// asked notes what the REST asks of others.
type asked struct {
	objects
	options metav1.GetOptions
	object  placement.Object
	runs    map[string][]string
}

func (a *asked) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	a.options = *options
	return a.objects.Get(ctx, name, options)
}

func (a *asked) Runs(_ context.Context, object placement.Object, placements map[string]string, proxies []string, node string) (bool, error) {
	a.object = object
	a.runs[node] = append(append([]string{}, proxies...), placements[proxies[0]])
	return true, nil
}

// The object is read from etcd, not from a cache, and the proxies that are looked up
// are this object's, by all that distinguishes it from others.
func TestWhatIsAsked(t *testing.T) {
	for resource, obj := range map[string]runtime.Object{
		"loadbalancers": shop(), "gwproxies": &epic.GWProxy{ObjectMeta: shop().ObjectMeta, Status: shop().Status},
	} {
		a := &asked{objects: objects{obj}, runs: map[string][]string{}}
		r := NewREST(resource, a, fixed(masters), identifier, a)
		ctx := genericapirequest.WithUser(genericapirequest.WithNamespace(genericapirequest.NewContext(), "epic-acme"), node("192.0.2.1"))
		if _, err := r.Get(ctx, "shop", &metav1.GetOptions{ResourceVersion: "0"}); err != nil {
			t.Fatal(err)
		}
		if a.options != (metav1.GetOptions{}) {
			t.Errorf("%s: the object was read with %+v", resource, a.options)
		}
		if want := (placement.Object{Resource: resource, Namespace: "epic-acme", Name: "shop"}); a.object != want {
			t.Errorf("the proxies of %+v, want those of %+v", a.object, want)
		}
		if len(a.runs) != 1 || strings.Join(a.runs["192.0.2.1"], " ") != "pod-a 192.0.2.1" {
			t.Errorf("%s: asked of %v", resource, a.runs)
		}
	}
}

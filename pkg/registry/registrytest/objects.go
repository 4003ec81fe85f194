// SPDX-License-Identifier: Apache-2.0

package registrytest

import (
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry"
)

// Address pools that Standard declares.
const (
	// PublicPool has fourteen addresses.
	PublicPool = "192.0.2.1-192.0.2.14"
	// AltPool has six addresses, which the prefix "dual" offers next to Pool6.
	AltPool = "198.51.100.1-198.51.100.6"
	// Pool6 is the IPv6 pool of the prefix "dual".
	Pool6 = "2001:db8::1-2001:db8::ff"
)

// Standard creates two accounts, "one" and "two", and in the namespace epic the group
// "offered" with addresses of PublicPool and the group "dual" with addresses of Pool6 and
// AltPool.
func Standard(w *World) {
	w.t.Helper()
	MustCreate(w, &epic.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.ConfigName}})
	MustCreate(w, Prefix("default", PublicPool, "192.0.2.0/24"))
	dual := Prefix("dual", Pool6, "2001:db8::/64")
	dual.Spec.AltPool = Pool(AltPool, "198.51.100.0/24")
	MustCreate(w, dual)
	MustCreate(w, Account("one"))
	MustCreate(w, Account("two"))
	MustCreate(w, Group(epic.ConfigNamespace, "offered", "default"))
	MustCreate(w, Group(epic.ConfigNamespace, "dual", "dual"))
}

// Pool returns a pool of addresses.
func Pool(pool, subnet string) *epic.AddressPool {
	return &epic.AddressPool{Pool: pool, Subnet: subnet, Aggregation: "default"}
}

// Prefix returns a service prefix with one pool.
func Prefix(name, pool, subnet string) *epic.ServicePrefix {
	return &epic.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: name},
		Spec:       epic.ServicePrefixSpec{PublicPool: Pool(pool, subnet)},
	}
}

// Account returns an account with a limit of ten proxies.
func Account(name string) *epic.Account {
	limit := int32(10)
	return &epic.Account{
		ObjectMeta: metav1.ObjectMeta{Namespace: epic.AccountNamespace(name), Name: name},
		Spec:       epic.AccountSpec{ProxyLimit: &limit},
	}
}

// Group returns a service group of a prefix.
func Group(namespace, name, prefix string) *epic.LBServiceGroup {
	return &epic.LBServiceGroup{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: name, Labels: map[string]string{epic.OwningServicePrefixLabel: prefix},
	}, Spec: epic.LBServiceGroupSpec{EndpointTemplate: &epic.DNSEndpoint{
		DNSName: "{{.PureLBServiceName}}.{{.LBSGName}}.{{.Account}}.example.com", RecordTTL: 180,
	}}}
}

// LoadBalancer returns a load balancer of an account.
func LoadBalancer(account, name, group string) *epic.LoadBalancer {
	return &epic.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Namespace: epic.AccountNamespace(account), Name: name},
		Spec:       epic.LoadBalancerSpec{ServiceGroup: group, PublicPorts: []epic.ServicePort{{Port: 80, Protocol: "TCP"}}},
	}
}

// GWProxy returns a gateway proxy of an account.
func GWProxy(account, name, group string) *epic.GWProxy {
	return &epic.GWProxy{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: epic.AccountNamespace(account), Name: name,
			Labels: map[string]string{epic.OwningLBServiceGroupLabel: group},
		},
		Spec: epic.GWProxySpec{PublicPorts: []epic.ServicePort{{Port: 80, Protocol: "TCP"}}},
	}
}

// RemoteEndpoint returns an endpoint of a load balancer, in the cluster "c".
func RemoteEndpoint(account, name, loadBalancer, address string) *epic.RemoteEndpoint {
	return &epic.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: epic.AccountNamespace(account), Name: name,
			Labels: map[string]string{epic.OwningLoadBalancerLabel: loadBalancer},
		},
		Spec: epic.RemoteEndpointSpec{Cluster: "c", Address: address, Port: epic.EndpointPort{Port: 80, Protocol: "TCP"}},
	}
}

// GWRoute returns a route of a gateway proxy.
func GWRoute(account, name, proxy string) *epic.GWRoute {
	o := &epic.GWRoute{ObjectMeta: metav1.ObjectMeta{Namespace: epic.AccountNamespace(account), Name: name}}
	o.Spec.HTTP = &epic.HTTPRouteSpec{}
	o.Spec.HTTP.ParentRefs = []gatewayv1.ParentReference{{Name: gatewayv1.ObjectName(proxy)}}
	return o
}

// GWEndpointSlice returns a slice with one endpoint.
func GWEndpointSlice(account, name string) *epic.GWEndpointSlice {
	return &epic.GWEndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: epic.AccountNamespace(account), Name: name},
		Spec: epic.GWEndpointSliceSpec{
			ParentRef:   epic.ClientRef{UID: "service"},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.42.0.7"}}},
		},
	}
}

// GatewayNode returns the object of a gateway node, whose name is its address.
func GatewayNode(name string) *epic.GatewayNode {
	return &epic.GatewayNode{ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: name}}
}

// EveryKind creates the objects of Standard and an additional object of each kind, and
// returns them in the order in which they can be created. Tenant objects belong to the
// account "full", whose limit is the two proxies that it has.
func EveryKind(w *World) []Object {
	w.t.Helper()
	Standard(w)
	account := Account("full")
	*account.Spec.ProxyLimit = 2
	lb := LoadBalancer("full", "lb", "offered")
	lb.Spec.UpstreamClusters = []string{"c"}
	objects := []Object{
		&epic.EPIC{ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.ConfigName}},
		Prefix("again", "203.0.113.0/28", "203.0.113.0/24"),
		account,
		Group(account.Namespace, "own", "again"),
		lb,
		RemoteEndpoint("full", "rep", lb.Name, "10.1.1.1"),
		GWProxy("full", "gwp", "dual"),
		GWRoute("full", "route", "gwp"),
		GWEndpointSlice("full", "slice"),
		GatewayNode("192.0.2.40"),
	}
	missing := map[string]bool{}
	for _, gvr := range registry.Resources() {
		missing[gvr.Resource] = true
	}
	for i, o := range objects {
		delete(missing, w.resource(o))
		if i == 0 {
			// Standard has already created it.
			out, err := Get(w, o)
			if err != nil {
				w.t.Fatal(err)
			}
			objects[i] = out
			continue
		}
		objects[i] = MustCreate(w, o)
	}
	if len(missing) > 0 {
		w.t.Fatalf("there is no object of %v", missing)
	}
	return objects
}

// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/pki/pkitest"
)

// How many objects of a kind each namespace has at most: few, so they depend on each
// other.
const (
	gateways = 3
	routes   = 6
	services = 4
	balanced = 2
	secrets  = 2
	nodes    = 4
)

var churned = []string{"shop", "market"}

// churner changes a client cluster at random, as a careless tenant does.
type churner struct {
	client client.Client
	rng    *rand.Rand
	// certificates are some to choose from.
	certificates []certificate
	// done counts what the API server took.
	done *atomic.Int64
}

type certificate struct{ cert, key []byte }

func newCertificates(t *testing.T, count int) []certificate {
	t.Helper()
	var all []certificate
	for i := range count {
		cert, key, err := pkitest.SelfSigned(&x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{CommonName: fmt.Sprint(i)}, DNSNames: []string{"*.example.com"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, certificate{cert, key})
	}
	return all
}

// run makes changes until the context ends.
func (c *churner) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.step(ctx)
		time.Sleep(time.Duration(c.rng.IntN(40)) * time.Millisecond)
	}
}

// fill makes changes until there is something of everything.
func (c *churner) fill(ctx context.Context, t *testing.T) {
	t.Helper()
	for range 150 {
		c.step(ctx)
	}
	if c.done.Load() < 100 {
		t.Fatalf("only %d changes were made", c.done.Load())
	}
}

func (c *churner) step(ctx context.Context) {
	namespace := churned[c.rng.IntN(len(churned))]
	switch n := c.rng.IntN(100); {
	case n < 12:
		c.change(ctx, 15, c.gateway(namespace))
	case n < 37:
		c.change(ctx, 15, c.route(namespace))
	case n < 47:
		c.change(ctx, 15, c.service(namespace))
	case n < 72:
		c.change(ctx, 20, c.slice(namespace))
	case n < 82:
		c.change(ctx, 15, c.balanced(namespace))
	case n < 86:
		c.change(ctx, 10, c.secret(namespace))
	case n < 89:
		c.change(ctx, 0, c.node())
	case n < 92:
		c.change(ctx, 30, c.grant(namespace))
	case n < 95:
		c.change(ctx, 30, c.set(namespace))
	case n < 98:
		c.change(ctx, 30, c.policy(namespace))
	default:
		c.change(ctx, 10, c.authority(namespace))
	}
}

// change creates an object, gives the one that is there the new content, or deletes it, in
// some cases of a hundred. It fails while the API server is away.
func (c *churner) change(ctx context.Context, deletes int, o client.Object) {
	has, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return
	}
	err := c.client.Get(ctx, client.ObjectKeyFromObject(o), has)
	switch {
	case apierrors.IsNotFound(err):
		err = c.client.Create(ctx, o)
	case err != nil:
	case c.rng.IntN(100) < deletes:
		err = c.client.Delete(ctx, has)
	default:
		keep(has, o)
		err = c.client.Update(ctx, o)
	}
	if err == nil {
		c.done.Add(1)
	}
}

// keep takes over what a change leaves alone.
func keep(has, o client.Object) {
	o.SetResourceVersion(has.GetResourceVersion())
	o.SetFinalizers(has.GetFinalizers())
	service, ok := o.(*corev1.Service)
	before, was := has.(*corev1.Service)
	if ok && was {
		service.Spec.ClusterIP, service.Spec.ClusterIPs = before.Spec.ClusterIP, before.Spec.ClusterIPs
		for i := range service.Spec.Ports {
			for j := range before.Spec.Ports {
				if before.Spec.Ports[j].Port == service.Spec.Ports[i].Port {
					service.Spec.Ports[i].NodePort = before.Spec.Ports[j].NodePort
				}
			}
		}
	}
}

func (c *churner) name(prefix string, count int) string {
	return fmt.Sprintf("%s%d", prefix, c.rng.IntN(count))
}

func (c *churner) one(of ...string) string { return of[c.rng.IntN(len(of))] }

func objectMeta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// listeners are those of a Gateway or a ListenerSet, on ports from the first one on.
func (c *churner) listeners(first gatewayv1.PortNumber) []gatewayv1.Listener {
	all := gatewayv1.FromNamespaces(c.one("All", "Same"))
	allowed := &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: &all}}
	hostname := func() *gatewayv1.Hostname {
		if c.rng.IntN(2) == 0 {
			return nil
		}
		return ptr.To(gatewayv1.Hostname(c.one("a.example.com", "*.example.com", "b.example.org")))
	}
	passthrough := gatewayv1.TLSModePassthrough
	choices := []gatewayv1.Listener{
		{Name: "http", Port: first, Protocol: gatewayv1.HTTPProtocolType, Hostname: hostname(), AllowedRoutes: allowed},
		{
			Name: "https", Port: first + 1, Protocol: gatewayv1.HTTPSProtocolType, Hostname: hostname(), AllowedRoutes: allowed,
			TLS: &gatewayv1.ListenerTLSConfig{CertificateRefs: []gatewayv1.SecretObjectReference{{Name: gatewayv1.ObjectName(c.name("cert", secrets))}}},
		},
		{Name: "tcp", Port: first + 2, Protocol: gatewayv1.TCPProtocolType, AllowedRoutes: allowed},
		{Name: "udp", Port: first + 3, Protocol: gatewayv1.UDPProtocolType, AllowedRoutes: allowed},
		{Name: "tls", Port: first + 4, Protocol: gatewayv1.TLSProtocolType, Hostname: hostname(), AllowedRoutes: allowed, TLS: &gatewayv1.ListenerTLSConfig{Mode: &passthrough}},
	}
	c.rng.Shuffle(len(choices), func(i, j int) { choices[i], choices[j] = choices[j], choices[i] })
	return choices[:1+c.rng.IntN(len(choices))]
}

func (c *churner) gateway(namespace string) client.Object {
	g := &gatewayv1.Gateway{ObjectMeta: objectMeta(namespace, c.name("gateway", gateways))}
	g.Spec.GatewayClassName = "epic"
	switch c.rng.IntN(20) {
	case 0:
		g.Spec.GatewayClassName = "another"
	case 1:
		g.Annotations = map[string]string{publish.SharingKeyAnnotation: g.Name + "-" + namespace}
	}
	g.Spec.Listeners = c.listeners(80)
	g.Spec.AllowedListeners = &gatewayv1.AllowedListeners{Namespaces: &gatewayv1.ListenerNamespaces{From: ptr.To(gatewayv1.NamespacesFromAll)}}
	return g
}

func (c *churner) set(namespace string) client.Object {
	s := &gatewayv1.ListenerSet{ObjectMeta: objectMeta(namespace, "set")}
	s.Spec.ParentRef = gatewayv1.ParentGatewayReference{Name: gatewayv1.ObjectName(c.name("gateway", gateways)), Namespace: ptr.To(gatewayv1.Namespace(c.one(churned...)))}
	for _, l := range c.listeners(8000) {
		s.Spec.Listeners = append(s.Spec.Listeners, gatewayv1.ListenerEntry(l))
	}
	return s
}

func (c *churner) parents() gatewayv1.CommonRouteSpec {
	var refs []gatewayv1.ParentReference
	for i := range gateways {
		if i == 0 || c.rng.IntN(3) == 0 {
			refs = append(refs, gatewayv1.ParentReference{
				Name: gatewayv1.ObjectName(fmt.Sprintf("gateway%d", (c.rng.IntN(gateways)+i*gateways)%gateways)), Namespace: ptr.To(gatewayv1.Namespace(c.one(churned...))),
			})
			if c.rng.IntN(2) == 0 {
				break
			}
		}
	}
	if len(refs) > 1 {
		// Two references to one parent must differ.
		refs = refs[:1]
	}
	return gatewayv1.CommonRouteSpec{ParentRefs: refs}
}

func (c *churner) backend(protocol string) gatewayv1.BackendRef {
	port := map[string]gatewayv1.PortNumber{"tcp": 80, "udp": 53}[protocol]
	ref := gatewayv1.BackendRef{Weight: ptr.To(int32(1 + c.rng.IntN(5)))}
	ref.Name, ref.Port = gatewayv1.ObjectName(c.name("service", services)), &port
	if c.rng.IntN(4) == 0 {
		ref.Namespace = ptr.To(gatewayv1.Namespace(c.one(churned...)))
	}
	return ref
}

// route is a route whose kind is in its name.
func (c *churner) route(namespace string) client.Object {
	i := c.rng.IntN(routes)
	name := objectMeta(namespace, fmt.Sprintf("route%d", i))
	hostnames := []gatewayv1.Hostname{gatewayv1.Hostname(c.one("a.example.com", "c.example.com", "b.example.org"))}
	switch i {
	case 0:
		r := &gatewayv1.TCPRoute{ObjectMeta: name}
		r.Spec.CommonRouteSpec = c.parents()
		r.Spec.Rules = []gatewayv1.TCPRouteRule{{BackendRefs: []gatewayv1.BackendRef{c.backend("tcp")}}}
		return r
	case 1:
		r := &gatewayv1.UDPRoute{ObjectMeta: name}
		r.Spec.CommonRouteSpec = c.parents()
		r.Spec.Rules = []gatewayv1.UDPRouteRule{{BackendRefs: []gatewayv1.BackendRef{c.backend("udp")}}}
		return r
	case 2:
		r := &gatewayv1.TLSRoute{ObjectMeta: name}
		r.Spec.CommonRouteSpec = c.parents()
		r.Spec.Hostnames = hostnames
		r.Spec.Rules = []gatewayv1.TLSRouteRule{{BackendRefs: []gatewayv1.BackendRef{c.backend("tcp")}}}
		return r
	case 3:
		r := &gatewayv1.GRPCRoute{ObjectMeta: name}
		r.Spec.CommonRouteSpec = c.parents()
		r.Spec.Hostnames = hostnames
		r.Spec.Rules = []gatewayv1.GRPCRouteRule{{BackendRefs: []gatewayv1.GRPCBackendRef{{BackendRef: c.backend("tcp")}}}}
		return r
	default:
		r := &gatewayv1.HTTPRoute{ObjectMeta: name}
		r.Spec.CommonRouteSpec = c.parents()
		r.Spec.Hostnames = hostnames
		rule := gatewayv1.HTTPRouteRule{Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{
			Type: ptr.To(gatewayv1.PathMatchPathPrefix), Value: ptr.To(c.one("/", "/a", "/b")),
		}}}}
		for range 1 + c.rng.IntN(2) {
			rule.BackendRefs = append(rule.BackendRefs, gatewayv1.HTTPBackendRef{BackendRef: c.backend("tcp")})
		}
		r.Spec.Rules = []gatewayv1.HTTPRouteRule{rule}
		return r
	}
}

func (c *churner) service(namespace string) client.Object {
	s := &corev1.Service{ObjectMeta: objectMeta(namespace, c.name("service", services))}
	s.Spec.Ports = []corev1.ServicePort{
		{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)},
		{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP, TargetPort: intstr.FromInt32(5353)},
	}
	if c.rng.IntN(3) == 0 {
		s.Spec.Ports[0].AppProtocol = ptr.To("kubernetes.io/h2c")
	}
	return s
}

func (c *churner) balanced(namespace string) client.Object {
	s := &corev1.Service{ObjectMeta: objectMeta(namespace, c.name("balanced", balanced))}
	s.Spec.Type, s.Spec.LoadBalancerClass = corev1.ServiceTypeLoadBalancer, ptr.To(publish.LoadBalancerClass)
	s.Spec.Ports = []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(8080)}}
	if c.rng.IntN(2) == 0 {
		s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Name: "more", Port: 81, TargetPort: intstr.FromInt32(8081)})
	}
	if c.rng.IntN(6) == 0 {
		s.Annotations = map[string]string{publish.SharingKeyAnnotation: s.Name + "-" + namespace}
	}
	return s
}

func (c *churner) slice(namespace string) client.Object {
	of := c.name("service", services)
	ports := []discoveryv1.EndpointPort{
		{Name: ptr.To("http"), Port: ptr.To[int32](8080)}, {Name: ptr.To("dns"), Port: ptr.To[int32](5353), Protocol: ptr.To(corev1.ProtocolUDP)},
	}
	if c.rng.IntN(3) == 0 {
		of = c.name("balanced", balanced)
		ports = []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](8080)}, {Name: ptr.To("more"), Port: ptr.To[int32](8081)}}
	}
	s := &discoveryv1.EndpointSlice{ObjectMeta: objectMeta(namespace, of+"-"+c.one("a", "b")), AddressType: discoveryv1.AddressTypeIPv4, Ports: ports}
	s.Labels = map[string]string{discoveryv1.LabelServiceName: of}
	for i := range c.rng.IntN(4) {
		ready := c.rng.IntN(4) > 0
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("10.1.%d.%d", c.rng.IntN(4), 1+i)}, NodeName: ptr.To(c.name("node", nodes)),
			Conditions: discoveryv1.EndpointConditions{Ready: &ready},
		})
	}
	return s
}

func (c *churner) secret(namespace string) client.Object {
	pair := c.certificates[c.rng.IntN(len(c.certificates))]
	return &corev1.Secret{
		ObjectMeta: objectMeta(namespace, c.name("cert", secrets)), Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: pair.cert, corev1.TLSPrivateKeyKey: pair.key},
	}
}

func (c *churner) authority(namespace string) client.Object {
	return &corev1.ConfigMap{ObjectMeta: objectMeta(namespace, "authority"), Data: map[string]string{
		publish.AuthorityKey: string(c.certificates[c.rng.IntN(len(c.certificates))].cert),
	}}
}

func (c *churner) policy(namespace string) client.Object {
	p := &gatewayv1.BackendTLSPolicy{ObjectMeta: objectMeta(namespace, "policy")}
	p.Spec.TargetRefs = []gatewayv1.LocalPolicyTargetReferenceWithSectionName{{
		LocalPolicyTargetReference: gatewayv1.LocalPolicyTargetReference{Kind: "Service", Name: gatewayv1.ObjectName(c.name("service", services))},
	}}
	p.Spec.Validation = gatewayv1.BackendTLSPolicyValidation{
		Hostname: "backend.example.com", CACertificateRefs: []gatewayv1.LocalObjectReference{{Kind: "ConfigMap", Name: "authority"}},
	}
	return p
}

func (c *churner) grant(namespace string) client.Object {
	g := &gatewayv1.ReferenceGrant{ObjectMeta: objectMeta(namespace, "grant")}
	for _, from := range []gatewayv1.Kind{"HTTPRoute", "TCPRoute", "UDPRoute", "GRPCRoute"} {
		g.Spec.From = append(g.Spec.From, gatewayv1.ReferenceGrantFrom{Group: gatewayv1.GroupName, Kind: from, Namespace: gatewayv1.Namespace(c.one(churned...))})
	}
	g.Spec.To = []gatewayv1.ReferenceGrantTo{{Kind: "Service"}}
	return g
}

// node changes the addresses of a node. Its status is written apart, as kubelets do it.
func (c *churner) node() client.Object {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: c.name("node", nodes), Annotations: map[string]string{
		publish.NodeAddressAnnotation: fmt.Sprintf("192.168.%d.%d", c.rng.IntN(2), 1+c.rng.IntN(20)),
	}}}
}

// SPDX-License-Identifier: Apache-2.0

//go:build skew

package skew

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/connector/publish"
	"github.com/acnodal/epic/pkg/pki/pkitest"
	"github.com/acnodal/epic/test/world"
)

const (
	node        = "node-1"
	hostname    = "shop.example.com"
	certificate = "certificate"
	// routeHeader is a header of answers by one of the tenant's routes, with its name.
	routeHeader = "Epic-Test-Route"
)

// pair is a certificate with its key, in PEM, and its serial number.
type pair struct {
	cert, key []byte
	serial    int64
}

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: tenancy, Name: name}
}

func (c *tenant) create(all ...client.Object) {
	c.Helper()
	for _, o := range all {
		c.must(c.local.Create(c.Context(), o))
	}
}

// publish makes a Gateway with a route to a Service, and a Service of type LoadBalancer, and
// returns both as services that answer.
func (c *tenant) publish() []*service {
	c.Helper()
	roots := x509.NewCertPool()
	for i := range c.certificates {
		c.certificates[i] = c.newCertificate(int64(i + 1))
		roots.AppendCertsFromPEM(c.certificates[i].cert)
	}
	c.create(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: tenancy}},
		&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node, Annotations: map[string]string{publish.NodeAddressAnnotation: world.NodeAddress}}},
		&corev1.Secret{ObjectMeta: named(certificate), Type: corev1.SecretTypeTLS, Data: c.certificates[0].data()},
		&corev1.Service{ObjectMeta: named("shop"), Spec: corev1.ServiceSpec{Ports: servicePorts()}},
	)
	gateway := &gatewayv1.Gateway{ObjectMeta: named("gateway"), Spec: gatewayv1.GatewaySpec{
		GatewayClassName: "epic", Listeners: []gatewayv1.Listener{
			{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType},
			{Name: "https", Port: 443, Protocol: gatewayv1.HTTPSProtocolType, TLS: &gatewayv1.ListenerTLSConfig{
				CertificateRefs: []gatewayv1.SecretObjectReference{{Name: certificate}},
			}},
		},
	}}
	c.create(gateway)
	shop := c.visited("the published Gateway")
	c.endpointsOf(shop, "shop")
	c.createRoute("route", "/")
	lb := c.balanced("balanced")
	c.addressed(lb)

	var address string
	c.until("the Gateway has an address", func() error {
		if err := c.local.Get(c.Context(), client.ObjectKeyFromObject(gateway), gateway); err != nil {
			return err
		}
		if len(gateway.Status.Addresses) != 1 {
			return fmt.Errorf("its addresses are %v, its conditions %v", gateway.Status.Addresses, gateway.Status.Conditions)
		}
		address = gateway.Status.Addresses[0].Value
		return nil
	})
	shop.urls = []string{"http://" + address + "/", "https://" + address + "/"}
	shop.client.Transport = &http.Transport{
		DialContext: c.world.Visitor.Dial, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: hostname, MinVersion: tls.VersionTLS12},
	}
	c.asked = []*service{shop, lb.service}
	shop.answers()
	c.until("everything is published", func() error { return c.published.Objects(c.Context()) })
	c.lasting = c.remote()
	for name, o := range c.lasting {
		if _, changes := o.(*epicv1.RemoteEndpoint); changes {
			delete(c.lasting, name)
		}
	}
	return c.asked
}

func servicePorts() []corev1.ServicePort {
	return []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromString("http")}}
}

// endpointsOf has the endpoints of a service be those of a Service of the client cluster. It has
// an EndpointSlice for each of the pod's ports, as a Service has whose pods differ in a named
// port, and endpoints come and go in them.
func (c *tenant) endpointsOf(s *service, name string) []client.Object {
	c.Helper()
	var all []client.Object
	slices := map[int32]*discoveryv1.EndpointSlice{}
	set := func(slice *discoveryv1.EndpointSlice, has bool) {
		slice.Endpoints = []discoveryv1.Endpoint{}
		if has {
			slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
				Addresses: []string{world.PodAddress}, NodeName: ptr.To(node), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
			})
		}
	}
	for _, port := range ports {
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta: named(fmt.Sprintf("%s-%d", name, port)), AddressType: discoveryv1.AddressTypeIPv4,
			Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To(port), Protocol: ptr.To(corev1.ProtocolTCP)}},
		}
		slice.Labels = map[string]string{discoveryv1.LabelServiceName: name}
		set(slice, port == s.port)
		c.create(slice)
		slices[port], all = slice, append(all, slice)
	}
	change := func(port int32, has bool) {
		c.Helper()
		c.must(update(c, slices[port], func() { set(slices[port], has) }))
	}
	s.add = func(port int32) { change(port, true) }
	s.drop = func(port int32) { change(port, false) }
	return all
}

// update reads an object of the client cluster, changes it and writes it.
func update(c *tenant, o client.Object, change func()) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := c.local.Get(c.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		change()
		return c.local.Update(c.Context(), o)
	})
}

// balanced is a Service of type LoadBalancer.
type balanced struct {
	object  *corev1.Service
	slices  []client.Object
	service *service
}

// balanced makes a Service of type LoadBalancer with an endpoint.
func (c *tenant) balanced(name string) *balanced {
	c.Helper()
	b := &balanced{
		object: &corev1.Service{ObjectMeta: named(name), Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: ptr.To(publish.LoadBalancerClass), Ports: servicePorts(),
		}},
		service: c.visited("the published Service " + name),
	}
	c.create(b.object)
	b.slices = c.endpointsOf(b.service, name)
	return b
}

// addressed waits until a Service has an address, and visitors can ask there.
func (c *tenant) addressed(b *balanced) {
	c.Helper()
	c.until("the Service "+b.object.Name+" has an address", func() error {
		now := &corev1.Service{}
		if err := c.local.Get(c.Context(), client.ObjectKeyFromObject(b.object), now); err != nil {
			return err
		}
		if len(now.Status.LoadBalancer.Ingress) != 1 {
			return fmt.Errorf("its status is %v", now.Status)
		}
		b.service.urls = []string{"http://" + now.Status.LoadBalancer.Ingress[0].IP}
		return nil
	})
	b.service.answers()
}

// remove deletes objects of the client cluster.
func (c *tenant) remove(all ...client.Object) {
	c.Helper()
	for _, o := range all {
		c.must(c.local.Delete(c.Context(), o))
	}
}

// createRoute makes a route of the Gateway for a path. Its answers have its name.
func (c *tenant) createRoute(name, path string) *gatewayv1.HTTPRoute {
	c.Helper()
	route := &gatewayv1.HTTPRoute{ObjectMeta: named(name)}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "gateway"}}
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{
		Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: ptr.To(gatewayv1.PathMatchPathPrefix), Value: &path}}},
		Filters: []gatewayv1.HTTPRouteFilter{{
			Type:                   gatewayv1.HTTPRouteFilterResponseHeaderModifier,
			ResponseHeaderModifier: &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: routeHeader, Value: name}}},
		}},
		BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
			BackendObjectReference: gatewayv1.BackendObjectReference{Name: "shop", Port: ptr.To[gatewayv1.PortNumber](80)},
		}}},
	}}
	c.create(route)
	return route
}

// route makes a route for the path of its name.
func (c *tenant) route(name string) *gatewayv1.HTTPRoute { return c.createRoute(name, "/"+name) }

// leads waits until a path leads to the route of its name, or does no longer.
func (c *tenant) leads(name string, there bool) {
	c.Helper()
	want := "route"
	if there {
		want = name
	}
	c.until(fmt.Sprintf("/%s leads to the route %s", name, want), func() error {
		answer, err := c.asked[0].client.Get(c.asked[0].urls[0] + name)
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if has := answer.Header.Get(routeHeader); answer.StatusCode != http.StatusOK || has != want {
			return fmt.Errorf("it is answered with %s by the route %q", answer.Status, has)
		}
		return nil
	})
}

func (c *tenant) newCertificate(serial int64) pair {
	c.Helper()
	cert, key, err := pkitest.SelfSigned(&x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: fmt.Sprint(serial)}, DNSNames: []string{hostname},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}, nil)
	c.must(err)
	return pair{cert, key, serial}
}

func (p pair) data() map[string][]byte {
	return map[string][]byte{corev1.TLSCertKey: p.cert, corev1.TLSPrivateKeyKey: p.key}
}

// renewCertificate gives the Gateway its other certificate.
func (c *tenant) renewCertificate() {
	c.Helper()
	c.certificates[0], c.certificates[1] = c.certificates[1], c.certificates[0]
	secret := &corev1.Secret{ObjectMeta: named(certificate)}
	c.must(update(c, secret, func() { secret.Data = c.certificates[0].data() }))
}

// presents waits until the Gateway's proxy has its certificate.
func (c *tenant) presents() {
	c.Helper()
	c.until("the proxy presents the renewed certificate", func() error {
		answer, err := c.asked[0].client.Get(c.asked[0].urls[1])
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if has, want := answer.TLS.PeerCertificates[0].SerialNumber.Int64(), c.certificates[0].serial; has != want {
			return fmt.Errorf("it presents number %d instead of %d", has, want)
		}
		return nil
	})
}

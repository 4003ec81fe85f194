// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/test/world"
)

const (
	// The router's and the gateway node's autonomous systems.
	routerASN, nodeASN = 64512, 64513
	// routerAddress is the router's at the gateway node's link.
	routerAddress = "192.0.2.1"
	// port is that of the tenant's pod.
	port = 8080
)

// direct returns a client of a server of EPIC's that no APIService leads to. It presents the
// administrator's certificate.
func (s *site) direct(address string, ca []byte) versioned.Interface {
	s.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.in("admin.kubeconfig"))
	s.must(err)
	config.Host, config.CAData, config.QPS = "https://"+address, ca, -1
	client, err := versioned.NewForConfig(config)
	s.must(err)
	s.until("the second API server answers", func() error {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(s.Context())
		return err
	})
	return client
}

// startBird runs the router's BGP daemon.
func (s *site) startBird() {
	s.Helper()
	s.must(os.WriteFile(s.in("bird.conf"), fmt.Appendf(nil, `log stderr all;
router id %s;
protocol device { scan time 1; }
protocol bfd { interface "*" { min rx interval 500 ms; min tx interval 500 ms; multiplier 10; }; }
protocol bgp node {
	local as %d; neighbor %s as %d; direct; bfd on;
	connect delay time 1; connect retry time 1; error wait time 1, 2;
	ipv4 { import all; export none; };
}
`, routerAddress, routerASN, world.GatewayAddress, nodeASN), 0o600))
	path := "bird"
	for _, candidate := range []string{"/usr/sbin/bird", "/usr/bin/bird"} {
		if _, err := os.Stat(candidate); err == nil {
			path = candidate
		}
	}
	s.start("bird", path, s.world.Internet, "-f", "-c", s.in("bird.conf"), "-s", s.in("bird.ctl"), "-P", s.in("bird.pid"))
}

// backend is the tenant's pod.
func (s *site) backend() {
	s.Helper()
	s.must(world.ServeHTTP(s.Context(), s.world.Tenants[0].Pod, fmt.Sprintf(":%d", port), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fail" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = fmt.Fprintln(w, "hello")
	})))
}

// balancer makes a load balancer with an endpoint in the tenant's pod.
func (s *site) balancer(name, serviceGroup string) *epicv1.LoadBalancer {
	s.Helper()
	lb, err := s.client.EpicV1().LoadBalancers(namespace).Create(s.Context(), &epicv1.LoadBalancer{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: epicv1.LoadBalancerSpec{
			ServiceGroup: serviceGroup, UpstreamClusters: []string{"c"}, PublicPorts: []epicv1.ServicePort{{Port: 80, Protocol: corev1.ProtocolTCP}},
		},
	}, metav1.CreateOptions{})
	s.must(err)
	s.endpoint(name, world.NodeAddress, port)
	return lb
}

// endpoint adds an endpoint of a load balancer behind a node.
func (s *site) endpoint(of, node string, number int32) {
	s.Helper()
	_, err := s.client.EpicV1().RemoteEndpoints(namespace).Create(s.Context(), &epicv1.RemoteEndpoint{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%s-%d", of, node, number), Labels: map[string]string{epic.OwningLoadBalancerLabel: of}},
		Spec: epicv1.RemoteEndpointSpec{
			Cluster: "c", Address: world.PodAddress, NodeAddress: node, Port: epicv1.EndpointPort{Port: number, Protocol: corev1.ProtocolTCP},
		},
	}, metav1.CreateOptions{})
	s.must(err)
}

// remove deletes load balancers with their endpoints.
func (s *site) remove(names ...string) {
	s.Helper()
	lbs := s.client.EpicV1().LoadBalancers(namespace)
	for _, name := range names {
		_, err := lbs.Patch(s.Context(), name, types.MergePatchType, []byte(`{"spec":{"upstream-clusters":null}}`), metav1.PatchOptions{})
		s.must(err)
		s.must(lbs.Delete(s.Context(), name, metav1.DeleteOptions{}))
	}
}

// services publish the tenant's pod, by a load balancer and by a Gateway that the connector
// publishes, and have a visitor ask both until the test ends.
func (s *site) services() {
	s.Helper()
	s.namespaces("shop")
	lb := s.balancer("tcp", group)
	shop := metav1.ObjectMeta{Namespace: "shop", Name: "shop"}
	slice := shop
	slice.Labels = map[string]string{discoveryv1.LabelServiceName: "shop"}
	s.must(s.objects.Create(s.Context(), &corev1.Service{ObjectMeta: shop, Spec: corev1.ServiceSpec{
		Ports: []corev1.ServicePort{{Name: "http", Port: 80, TargetPort: intstr.FromInt32(port)}},
	}}))
	s.must(s.objects.Create(s.Context(), &discoveryv1.EndpointSlice{
		ObjectMeta: slice, AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: ptr.To("http"), Port: ptr.To[int32](port)}},
		Endpoints: []discoveryv1.Endpoint{{
			Addresses: []string{world.PodAddress}, NodeName: ptr.To("client"), Conditions: discoveryv1.EndpointConditions{Ready: ptr.To(true)},
		}},
	}))
	s.must(s.objects.Create(s.Context(), &gatewayv1.Gateway{ObjectMeta: shop, Spec: gatewayv1.GatewaySpec{
		GatewayClassName: "epic", Listeners: []gatewayv1.Listener{{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType}},
	}}))
	route := &gatewayv1.HTTPRoute{ObjectMeta: shop}
	route.Spec.ParentRefs = []gatewayv1.ParentReference{{Name: "shop"}}
	route.Spec.Rules = []gatewayv1.HTTPRouteRule{{BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
		BackendObjectReference: gatewayv1.BackendObjectReference{Name: "shop", Port: ptr.To[gatewayv1.PortNumber](80)},
	}}}}}
	s.must(s.objects.Create(s.Context(), route))
	var public string
	s.until("the connector publishes the Gateway", func() error {
		all, err := s.client.EpicV1().GWProxies(namespace).List(s.Context(), metav1.ListOptions{})
		if err == nil && len(all.Items) != 1 {
			err = fmt.Errorf("there are %d gateway proxies", len(all.Items))
		}
		if err == nil {
			public = all.Items[0].Spec.PublicAddress
		}
		return err
	})
	client := world.Client(s.world.Visitor)
	client.Timeout = 2 * time.Second
	urls := []string{"http://" + net.JoinHostPort(lb.Spec.PublicAddress, "80"), "http://" + net.JoinHostPort(public, "80")}
	for _, url := range urls {
		s.until(url+" answers", func() error {
			_, err := get(s.Context(), client, url)
			return err
		})
	}
	for _, url := range append(urls, urls[1]+"/fail") {
		go func() {
			for s.Context().Err() == nil {
				_, _ = get(s.Context(), client, url)
				time.Sleep(100 * time.Millisecond)
			}
		}()
	}
	s.proxyPods()
}

// proxyPods make the pods of the proxies that run.
func (s *site) proxyPods() {
	s.Helper()
	for _, p := range s.proxies() {
		label := epic.OwningLoadBalancerLabel
		if strings.EqualFold(p.Kind, "GWProxy") {
			label = epic.OwningProxyLabel
		}
		s.pod(namespace, p.Pod, "default", "gateway", "http", s.gate(nil, to(nil, "unix", filepath.Join(p.folder, "run", "health.sock"))).Address(), map[string]string{
			"app.kubernetes.io/part-of": "epic", "app.kubernetes.io/component": "envoy-deployment", label: p.Name,
		})
	}
}

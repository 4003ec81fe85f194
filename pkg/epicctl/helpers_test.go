// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	testserver "github.com/acnodal/epic/pkg/apiserver/testing"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

// installation is a real EPIC server, and next to it the Kubernetes that a test
// pretends there is.
type installation struct {
	*testserver.TestServer
	client versioned.Interface
	// kube stands for the rest of a cluster; without it the server is alone.
	kube kubernetes.Interface
	// epic wraps the client of the commands.
	epic func(versioned.Interface) versioned.Interface
	// raw answers for paths that the server itself does not have.
	raw map[string]string
	// quotaPatience is none unless a test has a quota controller.
	quotaPatience quotaPatience
	// takeoverPatience is none unless a test has a connector.
	takeoverPatience takeoverPatience
}

// install starts a server with a configuration and addresses.
func install(t *testing.T) *installation {
	t.Helper()
	i := &installation{TestServer: testserver.StartTestServer(t)}
	// A connection pool of its own would keep the server from stopping at once.
	client, err := versioned.NewForConfig(i.Config)
	if err != nil {
		t.Fatal(err)
	}
	i.client = client
	c := client.EpicV1()
	if _, err := c.EPICs(epic.ConfigNamespace).Create(t.Context(), &v1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigName}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	prefix := &v1.ServicePrefix{
		ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec:       v1.ServicePrefixSpec{PublicPool: &v1.AddressPool{Pool: "192.0.2.0-192.0.2.3", Subnet: "192.0.2.0/24", Aggregation: "/32"}},
	}
	if _, err := c.ServicePrefixes(epic.ConfigNamespace).Create(t.Context(), prefix, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return i
}

// next to puts the server next to a Kubernetes that has namespaces and RBAC.
func (i *installation) beside(objects ...runtime.Object) *fake.Clientset {
	kube := fake.NewClientset(objects...)
	kube.Resources = []*metav1.APIResourceList{
		{GroupVersion: "v1", APIResources: []metav1.APIResource{{Name: "namespaces"}, {Name: "events"}}},
		{GroupVersion: "rbac.authorization.k8s.io/v1", APIResources: []metav1.APIResource{{Name: "rolebindings"}}},
	}
	i.kube = kube
	return kube
}

// fill gives an account a group, a load balancer that a cluster uses, with an
// endpoint and a tunnel, and a gateway with a route and a slice.
func (i *installation) fill(t *testing.T, account string) {
	t.Helper()
	ctx, c, ns := t.Context(), i.client.EpicV1(), accountNamespace(account)
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	named := func(name string, labels map[string]string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Labels: labels}
	}
	var o metav1.CreateOptions
	check(c.LBServiceGroups(ns).Create(ctx, &v1.LBServiceGroup{ObjectMeta: named("web", map[string]string{epic.OwningServicePrefixLabel: "pool"})}, o))
	lb, err := c.LoadBalancers(ns).Create(ctx, &v1.LoadBalancer{
		ObjectMeta: named("shop", nil),
		Spec:       v1.LoadBalancerSpec{ServiceGroup: "web", DisplayName: "shop", UpstreamClusters: []string{"c1"}, PublicPorts: []v1.ServicePort{{Port: 80}}},
	}, o)
	check(lb, err)
	lb.Status.GUETunnelEndpoints = map[string]v1.TunnelEndpoint{"10.0.0.1": {EPICEndpoints: map[string]v1.GUETunnelEndpoint{
		"192.168.1.40": {EPICAddress: "192.168.1.40"}, "192.168.1.41": {EPICAddress: "192.168.1.41"},
	}}}
	check(c.LoadBalancers(ns).UpdateStatus(ctx, lb, metav1.UpdateOptions{}))
	check(c.RemoteEndpoints(ns).Create(ctx, &v1.RemoteEndpoint{
		ObjectMeta: named("pod1", map[string]string{epic.OwningLoadBalancerLabel: "shop"}),
		Spec:       v1.RemoteEndpointSpec{Cluster: "c1", Address: "10.1.1.1", NodeAddress: "10.0.0.1", Port: v1.EndpointPort{Port: 8080}},
	}, o))
	check(c.GWProxies(ns).Create(ctx, &v1.GWProxy{
		ObjectMeta: named("gate", map[string]string{epic.OwningLBServiceGroupLabel: "web"}),
		Spec:       v1.GWProxySpec{DisplayName: "gate", PublicPorts: []v1.ServicePort{{Port: 443}}},
	}, o))
	check(c.GWEndpointSlices(ns).Create(ctx, &v1.GWEndpointSlice{ObjectMeta: named("slice", nil), Spec: sliceSpec()}, o))
}

// result is what a run of the program came to.
type result struct {
	code           int
	stdout, stderr string
}

// run runs the program as main does.
func (i *installation) run(t *testing.T, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	streams := genericclioptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &errOut}
	tool := newTool(streams)
	*tool.flags.KubeConfig = i.Kubeconfig
	tool.quotaPatience, tool.takeoverPatience = i.quotaPatience, i.takeoverPatience
	t.Cleanup(func() { closeIdle(tool) })
	if i.kube != nil {
		tool.kube = func() (kubernetes.Interface, error) { return i.kube, nil }
	}
	if given := tool.epic; i.epic != nil {
		tool.epic = func() (versioned.Interface, error) {
			client, err := given()
			return i.epic(client), err
		}
	}
	if given := tool.raw; i.raw != nil {
		tool.raw = func(ctx context.Context, path string, params map[string]string) ([]byte, error) {
			if body, ok := i.raw[path]; ok {
				return []byte(body), nil
			}
			return given(ctx, path, params)
		}
	}
	code := execute(t.Context(), newRoot(tool), program, args, streams)
	return result{code: code, stdout: out.String(), stderr: errOut.String()}
}

// closeIdle spares the server a wait for connections that nobody uses.
func closeIdle(t *tool) {
	config, err := t.config()
	if err != nil {
		return
	}
	if client, err := rest.HTTPClientFor(config); err == nil {
		utilnet.CloseIdleConnectionsFor(client.Transport)
	}
}

// want checks a result: its exit code, and parts of everything that was printed.
func (r result) want(t *testing.T, code int, parts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("The exit code is %d, want %d:\n%s", r.code, code, r)
	}
	for _, part := range parts {
		if !strings.Contains(squeezed(r.stdout+r.stderr), squeezed(part)) {
			t.Errorf("It did not say %q:\n%s", part, r)
		}
	}
}

// lacks checks that something was not printed.
func (r result) lacks(t *testing.T, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(squeezed(r.stdout+r.stderr), squeezed(part)) {
			t.Errorf("It said %q:\n%s", part, r)
		}
	}
}

func (r result) String() string { return fmt.Sprintf("exit code %d\n%s%s", r.code, r.stdout, r.stderr) }

// squeezed makes tables comparable whatever the width of their columns.
func squeezed(s string) string { return strings.Join(strings.Fields(s), " ") }

// fillGroup gives an account one group.
func (i *installation) fillGroup(t *testing.T, account, name string) {
	t.Helper()
	group := &v1.LBServiceGroup{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningServicePrefixLabel: "pool"}}}
	if _, err := i.client.EpicV1().LBServiceGroups(accountNamespace(account)).Create(context.Background(), group, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

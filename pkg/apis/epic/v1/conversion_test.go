// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/install"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return scheme
}

// status is a proxy's status with two tunnels to one tenant node.
func status() epic.ProxyStatus {
	port := epic.EndpointPort{Port: 6080, Protocol: "UDP", AppProtocol: "gue"}
	return epic.ProxyStatus{
		GUETunnelEndpoints: map[string]epic.TunnelEndpoint{
			"192.168.1.16": {
				EPICAddress: "192.168.1.40", EPICPort: port, TunnelID: 2,
				EPICEndpoints: map[string]epic.GUETunnelEndpoint{
					"192.168.1.40": {EPICAddress: "192.168.1.40", EPICPort: port, TunnelID: 2},
					"192.168.1.41": {EPICAddress: "192.168.1.41", EPICPort: port, TunnelID: 3},
				},
			},
		},
		ProxyIfInfo: map[string]epic.ProxyInterfaceInfo{
			"pod": {EPICNodeAddress: "192.168.1.40", EPICPort: port, Index: 16, Name: "veth67060f1f"},
		},
	}
}

// checkCopies checks that the copies in a spec match what the status has, and
// that they are the status's own maps.
func checkCopies(t *testing.T, tunnels map[string]v1.EPICEndpointMap, interfaces map[string]v1.ProxyInterfaceInfo, status v1.ProxyStatus) {
	t.Helper()
	if len(tunnels) != 1 || len(tunnels["192.168.1.16"].EPICEndpoints) != 2 {
		t.Fatalf("spec.gue-tunnel-endpoints is %v", tunnels)
	}
	if id := tunnels["192.168.1.16"].EPICEndpoints["192.168.1.41"].TunnelID; id != 3 {
		t.Errorf("the copied tunnel has ID %d, not 3", id)
	}
	if interfaces["pod"].Name != "veth67060f1f" {
		t.Errorf("spec.proxy-if-info is %v", interfaces)
	}
	if reflect.ValueOf(interfaces).Pointer() != reflect.ValueOf(status.ProxyIfInfo).Pointer() {
		t.Error("spec.proxy-if-info is not the status's own map")
	}
	inSpec := reflect.ValueOf(tunnels["192.168.1.16"].EPICEndpoints).Pointer()
	inStatus := reflect.ValueOf(status.GUETunnelEndpoints["192.168.1.16"].EPICEndpoints).Pointer()
	if inSpec != inStatus {
		t.Error("the tunnels in the spec are not the status's own map")
	}
}

func TestSpecShowsCopiesOfStatus(t *testing.T) {
	scheme := newScheme()

	var lb v1.LoadBalancer
	if err := scheme.Convert(&epic.LoadBalancer{Status: status()}, &lb, nil); err != nil {
		t.Fatal(err)
	}
	checkCopies(t, lb.Spec.GUETunnelEndpoints, lb.Spec.ProxyIfInfo, lb.Status)

	var proxy v1.GWProxy
	if err := scheme.Convert(&epic.GWProxy{Status: status()}, &proxy, nil); err != nil {
		t.Fatal(err)
	}
	checkCopies(t, proxy.Spec.GUETunnelEndpoints, proxy.Spec.ProxyIfInfo, proxy.Status)

	var list v1.LoadBalancerList
	if err := scheme.Convert(&epic.LoadBalancerList{Items: []epic.LoadBalancer{{Status: status()}}}, &list, nil); err != nil {
		t.Fatal(err)
	}
	checkCopies(t, list.Items[0].Spec.GUETunnelEndpoints, list.Items[0].Spec.ProxyIfInfo, list.Items[0].Status)
}

func TestNoCopiesOfAnEmptyStatus(t *testing.T) {
	var lb v1.LoadBalancer
	if err := newScheme().Convert(&epic.LoadBalancer{}, &lb, nil); err != nil {
		t.Fatal(err)
	}
	if lb.Spec.GUETunnelEndpoints != nil || lb.Spec.ProxyIfInfo != nil {
		t.Errorf("the spec has copies of nothing: %v", lb.Spec)
	}
}

func TestWrittenCopiesAreIgnored(t *testing.T) {
	scheme := newScheme()
	tunnels := map[string]v1.EPICEndpointMap{"node": {EPICEndpoints: map[string]v1.GUETunnelEndpoint{"epic": {TunnelID: 7}}}}
	interfaces := map[string]v1.ProxyInterfaceInfo{"pod": {Index: 7}}

	var lb epic.LoadBalancer
	in := &v1.LoadBalancer{Spec: v1.LoadBalancerSpec{DisplayName: "kept", GUETunnelEndpoints: tunnels, ProxyIfInfo: interfaces}}
	if err := scheme.Convert(in, &lb, nil); err != nil {
		t.Fatal(err)
	}
	if want := (epic.LoadBalancer{Spec: epic.LoadBalancerSpec{DisplayName: "kept"}}); !reflect.DeepEqual(lb, want) {
		t.Errorf("got %+v", lb)
	}

	var proxy epic.GWProxy
	inProxy := &v1.GWProxy{Spec: v1.GWProxySpec{DisplayName: "kept", GUETunnelEndpoints: tunnels, ProxyIfInfo: interfaces}}
	if err := scheme.Convert(inProxy, &proxy, nil); err != nil {
		t.Fatal(err)
	}
	if want := (epic.GWProxy{Spec: epic.GWProxySpec{DisplayName: "kept"}}); !reflect.DeepEqual(proxy, want) {
		t.Errorf("got %+v", proxy)
	}
}

func TestStripCopies(t *testing.T) {
	scheme := newScheme()
	var lb v1.LoadBalancer
	if err := scheme.Convert(&epic.LoadBalancer{Status: status()}, &lb, nil); err != nil {
		t.Fatal(err)
	}
	v1.StripCopies(&lb)
	if lb.Spec.GUETunnelEndpoints != nil || lb.Spec.ProxyIfInfo != nil {
		t.Error("the load balancer kept its copies")
	}
	if len(lb.Status.GUETunnelEndpoints) != 1 || len(lb.Status.ProxyIfInfo) != 1 {
		t.Error("the load balancer lost its status")
	}

	var proxy v1.GWProxy
	if err := scheme.Convert(&epic.GWProxy{Status: status()}, &proxy, nil); err != nil {
		t.Fatal(err)
	}
	v1.StripCopies(&proxy)
	if proxy.Spec.GUETunnelEndpoints != nil || proxy.Spec.ProxyIfInfo != nil {
		t.Error("the proxy kept its copies")
	}

	v1.StripCopies(&v1.EPIC{})
}

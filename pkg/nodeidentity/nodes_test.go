// SPDX-License-Identifier: Apache-2.0

package nodeidentity

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
)

func clusterNode(name string, addresses ...corev1.NodeAddress) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{Addresses: addresses}}
}

func internal(a string) corev1.NodeAddress {
	return corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a}
}

func TestClusterNodes(t *testing.T) {
	client := fake.NewClientset(
		clusterNode("one", internal("192.0.2.1"), internal("2001:DB8:0::1"), corev1.NodeAddress{Type: corev1.NodeExternalIP, Address: "198.51.100.1"},
			corev1.NodeAddress{Type: corev1.NodeHostName, Address: "192.0.2.99"}),
		clusterNode("bare"),
		clusterNode("odd", internal("host"), internal("0.0.0.0"), internal("192.0.2.7"), internal("::ffff:192.0.2.7")),
		// This one indicates that it is the first, too.
		clusterNode("thief", internal("192.0.2.66"), internal("192.0.2.2")),
		clusterNode("two", internal("192.0.2.2")),
	)
	factory := informers.NewSharedInformerFactory(client, 0)
	found, err := NewClusterNodes(factory.Core().V1().Nodes(), client.CoreV1().Nodes())
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	// It comes after the cache was filled, and a slow watch has not told of it.
	late := clusterNode("late", internal("192.0.2.8"))
	if err := client.Tracker().Add(late); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"one":   "[192.0.2.1 2001:db8::1 198.51.100.1]",
		"odd":   "[192.0.2.7]",
		"late":  "[192.0.2.8]",
		"thief": "[192.0.2.66]",
		"two":   "both have the address 192.0.2.2",
		"bare":  "has no InternalIP",
		"none":  "does not exist",
	} {
		addresses, err := found.Addresses(t.Context(), name)
		if got := fmt.Sprint(addresses, err); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// A Node that the cache knows without addresses is read again: it gets them a moment
// after it is created.
func TestClusterNodesWithoutAddressesYet(t *testing.T) {
	client := fake.NewClientset()
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Nodes()
	found, err := NewClusterNodes(informer, client.CoreV1().Nodes())
	if err != nil {
		t.Fatal(err)
	}
	if err := informer.Informer().GetIndexer().Add(clusterNode("new")); err != nil {
		t.Fatal(err)
	}
	if err := client.Tracker().Add(clusterNode("new", internal("192.0.2.9"))); err != nil {
		t.Fatal(err)
	}
	if addresses, err := found.Addresses(t.Context(), "new"); err != nil || fmt.Sprint(addresses) != "[192.0.2.9]" {
		t.Errorf("%v, %v", addresses, err)
	}
}

// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"net/netip"
	"strings"
	"testing"

	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// deniedHere is that of an installation of both families.
func deniedHere(t *testing.T) *Denied {
	t.Helper()
	d := &Denied{}
	addSpec(d, &epic.EPICSpec{
		ServiceCIDR:         "10.96.0.0/12,fd00:10:96::/112",
		DeniedEndpointCIDRs: []string{"172.30.0.0/16", "fd00:30::/48"},
	})
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, node := range []*corev1.Node{
		{ObjectMeta: metav1.ObjectMeta{Name: "dual"}, Spec: corev1.NodeSpec{PodCIDR: "10.244.1.0/24", PodCIDRs: []string{"10.244.1.0/24", "fd00:244:1::/64"}},
			Status: corev1.NodeStatus{Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}, {Type: corev1.NodeExternalIP, Address: "2001:db8::1"},
				{Type: corev1.NodeHostName, Address: "dual"}, {Type: "Other", Address: "192.0.2.99"},
			}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "old"}, Spec: corev1.NodeSpec{PodCIDR: "10.244.2.0/24"}},
	} {
		if err := indexer.Add(node); err != nil {
			t.Fatal(err)
		}
	}
	if err := (Nodes{Lister: corelisters.NewNodeLister(indexer)}).Deny(d); err != nil {
		t.Fatal(err)
	}
	d.AddRange(netipx.MustParseIPRange("198.51.100.5-198.51.100.9"), "a public address of this gateway")
	d.AddRange(netipx.MustParseIPRange("2001:db8:5::-2001:db8:5::ff"), "a public address of this gateway")
	return d
}

func TestDenied(t *testing.T) {
	d := deniedHere(t)
	for address, want := range map[string]string{
		"10.96.0.1": "service", "10.111.255.255": "service", "fd00:10:96::a": "service",
		"172.30.1.1": "denied-endpoint-cidrs", "fd00:30::1": "denied-endpoint-cidrs",
		"10.244.1.7": "pod", "10.244.2.7": "pod", "fd00:244:1::7": "pod",
		"192.0.2.1": "node", "2001:db8::1": "node", "192.0.2.99": "node",
		"198.51.100.5": "public", "198.51.100.9": "public", "2001:db8:5::80": "public",
		"127.0.0.1": "loopback", "::1": "loopback", "127.9.9.9": "loopback",
		"169.254.169.254": "link-local", "fe80::1": "link-local", "224.0.0.1": "multicast", "ff02::1": "multicast",
		"0.0.0.0": "this host", "0.1.2.3": "this host", "::": "unspecified", "255.255.255.255": "broadcast",
		"fd00:ec2::254": "metadata", "100.100.100.200": "metadata", "168.63.129.16": "metadata",
		// The same in other dress.
		"::ffff:10.96.0.1": "service", "64:ff9b::a60:1": "service", "2002:a60:1::": "service", "::10.96.0.1": "service",
		"64:ff9b::7f00:1": "loopback", "2001:db8::1%eth0": "node",

		"10.112.0.0": "", "10.95.255.255": "", "10.244.3.7": "", "192.0.2.2": "", "198.51.100.4": "", "198.51.100.10": "",
		"2001:db8:5::100": "", "2001:db8::2": "", "64:ff9b::c000:202": "", "203.0.113.1": "", "fd00:10:97::1": "",
	} {
		what, is := d.Check(netip.MustParseAddr(address))
		if is != (want != "") || !strings.Contains(what, want) {
			t.Errorf("%s: %v %q, want %q", address, is, what, want)
		}
	}
	if what, is := (&Denied{}).Check(netip.MustParseAddr("169.254.169.254")); !is {
		t.Errorf("without a cluster: %q", what)
	}
}

func TestRefusals(t *testing.T) {
	d := deniedHere(t)
	var all []Endpoint
	path := field.NewPath("spec", "endpoints")
	for i := range 1000 {
		all = append(all, Endpoint{Path: path.Index(i), Address: "10.96.0.1"})
	}
	errs := refuse(d, all)
	if len(errs) != maxErrors || errs[0].Field != "spec.endpoints[0]" || !strings.Contains(errs[0].Detail, "set the endpoint's node") {
		t.Errorf("%d errors: %v", len(errs), errs[:1])
	}
	if errs := refuse(d, []Endpoint{{path, "203.0.113.1"}, {path, "nonsense"}, {path, ""}}); len(errs) > 0 {
		t.Errorf("refused %v", errs)
	}
}

// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const tenant = "192.168.1.16"

var gue = epic.EndpointPort{Port: 6080, Protocol: corev1.ProtocolUDP, AppProtocol: "gue"}

func pairTo(address string, id int32) epic.GUETunnelEndpoint {
	return epic.GUETunnelEndpoint{EPICAddress: address, EPICPort: gue, TunnelID: id}
}

func pairs(ps ...epic.GUETunnelEndpoint) map[string]epic.GUETunnelEndpoint {
	m := map[string]epic.GUETunnelEndpoint{}
	for _, p := range ps {
		m[p.EPICAddress] = p
	}
	return m
}

func entry(address string, id int32, ps map[string]epic.GUETunnelEndpoint) epic.TunnelEndpoint {
	return epic.TunnelEndpoint{EPICAddress: address, EPICPort: gue, TunnelID: id, EPICEndpoints: ps}
}

func TestNormalizeTunnels(t *testing.T) {
	two := entry("192.168.1.9", 1, pairs(pairTo("192.168.1.9", 1), pairTo("192.168.1.40", 2)))
	for name, c := range map[string]struct{ old, in, want epic.TunnelEndpoint }{
		"one level, new": {
			in:   entry("192.168.1.40", 0, nil),
			want: entry("192.168.1.40", 0, pairs(pairTo("192.168.1.40", 0))),
		},
		"one level, known": {
			old:  entry("192.168.1.40", 2, pairs(pairTo("192.168.1.40", 2))),
			in:   entry("192.168.1.40", 0, nil),
			want: entry("192.168.1.40", 2, pairs(pairTo("192.168.1.40", 2))),
		},
		"one level, written back with its ID": {
			old:  entry("192.168.1.40", 2, pairs(pairTo("192.168.1.40", 2))),
			in:   entry("192.168.1.40", 2, nil),
			want: entry("192.168.1.40", 2, pairs(pairTo("192.168.1.40", 2))),
		},
		"one level, made-up ID stays for validation": {
			in:   entry("192.168.1.40", 77, nil),
			want: entry("192.168.1.40", 77, pairs(pairTo("192.168.1.40", 77))),
		},
		"two levels decide, addresses in the order of numbers": {
			in: entry("", 0, map[string]epic.GUETunnelEndpoint{
				"192.168.1.40": {EPICPort: gue}, "192.168.1.9": {EPICPort: gue},
			}),
			want: entry("192.168.1.9", 0, pairs(pairTo("192.168.1.9", 0), pairTo("192.168.1.40", 0))),
		},
		"IPv4 before IPv6": {
			in:   entry("", 0, pairs(pairTo("2001:db8::1", 0), pairTo("203.0.113.1", 0))),
			want: entry("203.0.113.1", 0, pairs(pairTo("2001:db8::1", 0), pairTo("203.0.113.1", 0))),
		},
		"absent IDs are kept, new pairs have none": {
			old:  two,
			in:   entry("", 0, pairs(pairTo("192.168.1.9", 0), pairTo("192.168.1.40", 2), pairTo("192.168.1.50", 0))),
			want: entry("192.168.1.9", 1, pairs(pairTo("192.168.1.9", 1), pairTo("192.168.1.40", 2), pairTo("192.168.1.50", 0))),
		},
		"the lowest goes, its copy is written back": {
			old:  two,
			in:   entry("192.168.1.9", 1, pairs(pairTo("192.168.1.40", 2))),
			want: entry("192.168.1.40", 2, pairs(pairTo("192.168.1.40", 2))),
		},
		"an own ID that is nobody's stays for validation": {
			old:  two,
			in:   entry("192.168.1.9", 77, pairs(pairTo("192.168.1.9", 1), pairTo("192.168.1.40", 2))),
			want: entry("192.168.1.9", 77, pairs(pairTo("192.168.1.9", 1), pairTo("192.168.1.40", 2))),
		},
		"an address that is not its key stays for validation": {
			in:   entry("", 0, map[string]epic.GUETunnelEndpoint{"192.168.1.40": pairTo("192.168.1.41", 0)}),
			want: entry("192.168.1.41", 0, map[string]epic.GUETunnelEndpoint{"192.168.1.40": pairTo("192.168.1.41", 0)}),
		},
		"no tunnel": {
			in:   entry("", 0, nil),
			want: entry("", 0, nil),
		},
		"an empty map takes all away": {
			old:  two,
			in:   entry("192.168.1.9", 1, map[string]epic.GUETunnelEndpoint{}),
			want: entry("", 0, nil),
		},
		"another node's ID is not taken over": {
			old:  entry("192.168.1.40", 2, pairs(pairTo("192.168.1.40", 2))),
			in:   entry("192.168.1.41", 0, nil),
			want: entry("192.168.1.41", 0, pairs(pairTo("192.168.1.41", 0))),
		},
	} {
		t.Run(name, func(t *testing.T) {
			old := &epic.ProxyStatus{GUETunnelEndpoints: map[string]epic.TunnelEndpoint{tenant: c.old}}
			before := old.DeepCopy()
			status := &epic.ProxyStatus{GUETunnelEndpoints: map[string]epic.TunnelEndpoint{tenant: c.in}}
			// A dry run does it twice.
			for range 2 {
				NormalizeStatus(status, old)
				if got := status.GUETunnelEndpoints[tenant]; !apiequality.Semantic.DeepEqual(got, c.want) {
					t.Errorf("got  %+v\nwant %+v", got, c.want)
				}
			}
			if !apiequality.Semantic.DeepEqual(old, before) {
				t.Error("the old status was changed")
			}
		})
	}
}

func TestNormalizeInterface(t *testing.T) {
	info := map[string]epic.ProxyInterfaceInfo{"b": {Index: 2, Name: "veth2"}, "a": {Index: 16, Name: "veth67060f1f"}}
	for name, c := range map[string]struct {
		old, in epic.ProxyStatus
		index   int32
		ifname  string
	}{
		"first by the pod's name": {in: epic.ProxyStatus{ProxyIfInfo: info, ProxyIfIndex: 9, ProxyIfName: "x"}, index: 16, ifname: "veth67060f1f"},
		"only the two fields":     {in: epic.ProxyStatus{ProxyIfIndex: 9, ProxyIfName: "x"}, index: 9, ifname: "x"},
		"the last one goes": {
			old: epic.ProxyStatus{ProxyIfInfo: info, ProxyIfIndex: 16, ProxyIfName: "veth67060f1f"},
			in:  epic.ProxyStatus{ProxyIfIndex: 16, ProxyIfName: "veth67060f1f"},
		},
	} {
		status := c.in.DeepCopy()
		NormalizeStatus(status, &c.old)
		if status.ProxyIfIndex != c.index || status.ProxyIfName != c.ifname {
			t.Errorf("%s: got %d %q", name, status.ProxyIfIndex, status.ProxyIfName)
		}
	}
}

// A program that does not know the tunnels in the status leaves out everything that it
// does not know, quota-place too.
func TestNormalizeKeepsWhatAWriterDoesNotKnow(t *testing.T) {
	old := &epic.ProxyStatus{
		QuotaPlace:         3,
		GUETunnelEndpoints: map[string]epic.TunnelEndpoint{tenant: entry("192.168.1.40", 2, pairs(pairTo("192.168.1.40", 2)))},
		ProxyIfInfo:        map[string]epic.ProxyInterfaceInfo{"pod": {Index: 16, Name: "veth1"}},
		ProxyIfIndex:       16, ProxyIfName: "veth1",
	}
	before := old.DeepCopy()
	for name, c := range map[string]struct {
		in                  epic.ProxyStatus
		tunnels, interfaces int
	}{
		"a writer of observedGeneration":   {in: epic.ProxyStatus{ObservedGeneration: 7}, tunnels: 1, interfaces: 1},
		"a writer that knows the status":   {in: epic.ProxyStatus{QuotaPlace: 3}},
		"empty maps":                       {in: epic.ProxyStatus{GUETunnelEndpoints: map[string]epic.TunnelEndpoint{}, ProxyIfInfo: map[string]epic.ProxyInterfaceInfo{}}},
		"a writer of the tunnels alone":    {in: epic.ProxyStatus{GUETunnelEndpoints: map[string]epic.TunnelEndpoint{}}, interfaces: 1},
		"a writer of the interfaces alone": {in: epic.ProxyStatus{ProxyIfInfo: map[string]epic.ProxyInterfaceInfo{}}, tunnels: 1},
	} {
		t.Run(name, func(t *testing.T) {
			status := c.in.DeepCopy()
			for range 2 {
				NormalizeStatus(status, old)
				if len(status.GUETunnelEndpoints) != c.tunnels || len(status.ProxyIfInfo) != c.interfaces || status.QuotaPlace != 3 {
					t.Errorf("got %+v", status)
				}
				if (status.ProxyIfName == "veth1") != (c.interfaces == 1) {
					t.Errorf("proxy-ifname is %q", status.ProxyIfName)
				}
			}
			if !apiequality.Semantic.DeepEqual(old, before) {
				t.Error("the old status was changed")
			}
		})
	}
}

func TestNormalizeKeepsQuotaPlace(t *testing.T) {
	status := &epic.ProxyStatus{QuotaPlace: 9}
	NormalizeStatus(status, &epic.ProxyStatus{QuotaPlace: 3})
	if status.QuotaPlace != 3 {
		t.Errorf("place %d, want the server's", status.QuotaPlace)
	}
}

func TestReplicas(t *testing.T) {
	if got := Replicas(ptr.To[int32](0), ptr.To[int32](2)); *got != 2 {
		t.Error("0 does not stand for the group's number")
	}
	if Replicas(nil, nil) != nil || *Replicas(ptr.To[int32](5), ptr.To[int32](2)) != 5 {
		t.Error("a number is not kept")
	}
}

func TestNodes(t *testing.T) {
	status := &epic.ProxyStatus{
		GUETunnelEndpoints: map[string]epic.TunnelEndpoint{
			"10.0.0.2": entry("", 0, pairs(pairTo("192.168.1.40", 1), pairTo("192.168.1.41", 2))),
			"10.0.0.1": entry("", 0, pairs(pairTo("192.168.1.40", 3))),
		},
		ProxyIfInfo: map[string]epic.ProxyInterfaceInfo{"pod": {EPICNodeAddress: "192.168.1.39", Name: "veth1"}, "new": {}},
	}
	if got := Few(ClientNodes(status)); got != "10.0.0.1,10.0.0.2" {
		t.Errorf("tenant nodes %q", got)
	}
	if got := Few(EPICNodes(status)); got != "192.168.1.39,192.168.1.40,192.168.1.41" {
		t.Errorf("EPIC nodes %q", got)
	}
	if got := Tunnels(status); got != 3 {
		t.Errorf("%d tunnels", got)
	}
	if got := Few([]string{"a", "b", "c", "d", "e"}); got != "a,b,c + 2 more..." {
		t.Errorf("few of many: %q", got)
	}
	if got := Ports([]epic.ServicePort{{Name: "a", Port: 443, Protocol: "TCP"}, {Name: "b", Port: 443, Protocol: "TCP"}, {Port: 443, Protocol: "UDP"}}); got != "443/TCP,443/UDP" {
		t.Errorf("ports of listeners %q", got)
	}
	if got := Ports([]epic.ServicePort{{Port: 80, Protocol: "TCP"}, {Port: 53, Protocol: "UDP"}}); got != "80/TCP,53/UDP" {
		t.Errorf("ports %q", got)
	}
}

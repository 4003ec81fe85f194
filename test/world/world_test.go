// SPDX-License-Identifier: Apache-2.0

package world

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/host"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/test/netlab"
)

// Without EPIC's tunnels the world is as one would expect: visitors reach proxies,
// tenants reach the world through their NAT, and nobody reaches a pod.
func TestWorld(t *testing.T) {
	ctx := t.Context()
	w, err := New(netlab.Test(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := w.Proxy(proxies.LoadBalancer, "epic-root", "sample", "proxy",
		netip.MustParseAddr("192.168.77.2"), netip.MustParseAddr("2001:db8:77::2"))
	if err != nil {
		t.Fatal(err)
	}
	hostNetwork(t, w, proxy)
	seen := http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		host, _, _ := net.SplitHostPort(request.RemoteAddr)
		fmt.Fprint(answer, host)
	})
	for _, address := range []string{"192.168.77.2:8888", "[2001:db8:77::2]:8888"} {
		if err := ServeHTTP(ctx, proxy.Namespace, address, seen); err != nil {
			t.Fatal(err)
		}
	}
	if err := ServeHTTP(ctx, w.Tenants[0].Pod, ":8080", seen); err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		name string
		from *netlab.Namespace
		url  string
		want string
	}{
		{"visitor", w.Visitor, "http://192.168.77.2:8888", visitorAddress},
		{"visitor by IPv6", w.Visitor, "http://[2001:db8:77::2]:8888", visitorAddress6},
		{"pod", w.Tenants[1].Pod, "http://192.168.77.2:8888", w.Tenants[1].PublicAddress},
		{"node by IPv6", w.Tenants[0].Node, "http://[2001:db8:77::2]:8888", w.Tenants[0].PublicAddress6},
		{"node to its pod", w.Tenants[0].Node, "http://10.244.0.5:8080", "10.244.0.1"},
		{"node to another tenant's pod", w.Tenants[1].Node, "http://10.244.0.5:8080", ""},
		{"proxy to a pod", proxy.Namespace, "http://10.244.0.5:8080", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := Client(test.from)
			if test.want == "" {
				client.Timeout = time.Second
			}
			answer, err := client.Get(test.url)
			if test.want == "" {
				if err == nil {
					_ = answer.Body.Close()
					t.Fatal("got an answer, want none")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = answer.Body.Close() }()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(body); got != test.want {
				t.Errorf("the server saw %s, want %s", got, test.want)
			}
		})
	}
}

// hostNetwork does what the gateway node's program does outside of tunnels.
func hostNetwork(t *testing.T, w *World, proxy *Proxy) {
	t.Helper()
	network, err := host.New(host.Options{Namespace: netns.NsHandle(w.Gateway.FD())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { network.Close() })
	desired := host.Desired{Bridges: []host.Bridge{{Name: Bridge, MTU: MTU}}}
	for _, address := range proxy.Interface.Addresses {
		desired.Addresses = append(desired.Addresses, host.Address{
			Address: address, Announce: netip.PrefixFrom(address, address.BitLen()), Bridge: Bridge,
			Ends: []host.End{{Index: proxy.Interface.Index, MAC: proxy.Interface.PeerMAC}},
		})
		desired.Openings = append(desired.Openings, host.Opening{Address: address, Protocol: unix.IPPROTO_TCP, Port: 8888})
	}
	if _, err := network.Apply(desired); err != nil {
		t.Fatal(err)
	}
}

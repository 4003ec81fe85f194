// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

// A tunnel that no endpoint needs lingers, unless the object is being deleted, no proxy is
// at its gateway node or it is down. It counts for nothing but itself.
func TestLingeringTunnels(t *testing.T) {
	k := &tunnelReconciler{linger: time.Minute}
	key := cache.NewObjectName("epic-a", "web")
	for n, c := range []struct {
		at        int64
		has       string // tunnels
		nodes     string // with endpoints
		proxies   string // gateway nodes
		deleted   bool
		want      string
		lingering int
		next      int64 // when it is looked at again
	}{
		{0, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", "1.1.1.1 1.1.1.2", "2.2.2.1", false, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", 0, 0},
		{10, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", "1.1.1.2", "2.2.2.1", false, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", 1, 70},
		{20, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", "", "2.2.2.1", false, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", 2, 70},
		// It is needed again, and then no longer: its time begins again.
		{30, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", "1.1.1.1", "2.2.2.1", false, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", 1, 80},
		{40, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", "", "2.2.2.1", false, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", 2, 80},
		{80, "1.1.1.1>2.2.2.1 1.1.1.2>2.2.2.1", "", "2.2.2.1", false, "1.1.1.1>2.2.2.1", 1, 100},
		{100, "1.1.1.1>2.2.2.1", "", "2.2.2.1", false, "", 0, 0},
		{110, "1.1.1.1>2.2.2.1", "1.1.1.1", "2.2.2.2", false, "1.1.1.1>2.2.2.2", 0, 0},
		{120, "1.1.1.1>2.2.2.1", "", "2.2.2.1", true, "", 0, 0},
		// Down, so nothing can be under way.
		{130, "1.1.1.1>2.2.2.9", "", "2.2.2.9", false, "", 0, 0},
	} {
		now := time.Unix(c.at, 0)
		s := &state{meta: &metav1.ObjectMeta{Name: "web"}, status: &epicv1.ProxyStatus{ProxyIfInfo: map[string]epicv1.ProxyInterfaceInfo{}}}
		s.lingers = func(q pair) bool { return k.memory.lingers(key, q, now, k.linger) }
		if c.deleted {
			s.meta.DeletionTimestamp = &metav1.Time{Time: now}
		}
		has := map[pair]int32{}
		for i, text := range strings.Fields(c.has) {
			client, gateway, _ := strings.Cut(text, ">")
			has[pair{netip.MustParseAddr(client), netip.MustParseAddr(gateway)}] = int32(i + 1)
		}
		s.status.GUETunnelEndpoints = tunnelMap(slices.SortedFunc(maps.Keys(has), pair.compare), nil, has)
		for text := range strings.FieldsSeq(c.nodes) {
			s.endpoints = append(s.endpoints, endpoints.Endpoint{Address: netip.MustParseAddrPort("10.0.0.1:80"), Node: netip.MustParseAddr(text)})
		}
		for text := range strings.FieldsSeq(c.proxies) {
			s.status.ProxyIfInfo["pod-"+text] = epicv1.ProxyInterfaceInfo{EPICNodeAddress: text}
		}
		s.tunnels = func(_ int32, node netip.Addr) tunnelstate.State {
			if node == netip.MustParseAddr("2.2.2.9") {
				return tunnelstate.Down
			}
			return tunnelstate.Up
		}
		p := planFor(s)
		k.memory.keepLingering(key, p.lingering)
		var got []string
		for _, q := range p.pairs {
			got = append(got, fmt.Sprintf("%s>%s", q.tenantNode, q.epicNode))
		}
		if strings.Join(got, " ") != c.want || len(p.lingering) != c.lingering {
			t.Errorf("step %d: %v, of which %d linger; want %s and %d", n, got, len(p.lingering), c.want, c.lingering)
		}
		if next := k.memory.nextEnd(key, time.Unix(0, 0)); next != time.Duration(c.next)*time.Second {
			t.Errorf("step %d: looked at again at %s, not %ds", n, next, c.next)
		}
		for q := range p.lingering {
			if p.status.GUETunnelEndpoints[q.tenantNode.String()].EPICEndpoints[q.epicNode.String()].TunnelID != has[q] {
				t.Errorf("step %d: %v has another ID", n, q)
			}
		}
		if counts := p.counts(&p.status); counts.assigned > counts.wanted {
			t.Errorf("step %d: %d of %d tunnels have an ID", n, counts.assigned, counts.wanted)
		}
	}
}

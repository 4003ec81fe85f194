// SPDX-License-Identifier: Apache-2.0

package tunnelstate

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

var (
	one = netip.MustParseAddr("192.0.2.1")
	two = netip.MustParseAddr("2001:db8::2")
)

func node(name string, heartbeat time.Time, up, down []uint32) *epicv1.GatewayNode {
	return &epicv1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Namespace: "epic", Name: name}, Status: epicv1.GatewayNodeStatus{
		HeartbeatTime: metav1.NewTime(heartbeat),
		TunnelStates:  &epicv1.TunnelStates{Up: idset.Of(up...).Encode(), Down: idset.Of(down...).Encode()},
	}}
}

// told collects changes.
func told(t *Tracker) func() string {
	var all []string
	t.OnChange(func(c Change) { all = append(all, fmt.Sprintf("%s: %s", c.Node, c.Tunnels)) })
	return func() string {
		out := fmt.Sprint(all)
		all = nil
		return out
	}
}

func TestReports(t *testing.T) {
	tr := New(Options{})
	changes := told(tr)
	now := time.Now()
	for _, step := range []struct {
		name   string
		do     func()
		change string
		// up and down are the tunnels 1 to 9 of each node in these states.
		up, down []int32
	}{
		{"a report", func() { tr.Set(node("192.0.2.1", now, []uint32{1, 2, 3}, []uint32{5})) }, "[192.0.2.1: 1-3,5]", []int32{1, 2, 3}, []int32{5}},
		{"the same again", func() { tr.Set(node("192.0.2.1", now.Add(time.Second), []uint32{1, 2, 3}, []uint32{5})) }, "[]", []int32{1, 2, 3}, []int32{5}},
		{"one goes down, one up", func() { tr.Set(node("192.0.2.1", now.Add(time.Second), []uint32{1, 3, 5}, []uint32{2})) }, "[192.0.2.1: 2,5]", []int32{1, 3, 5}, []int32{2}},
		{"one is unknown", func() { tr.Set(node("192.0.2.1", now.Add(time.Second), []uint32{1, 5}, []uint32{2})) }, "[192.0.2.1: 3]", []int32{1, 5}, []int32{2}},
		{"a node of an earlier release", func() {
			n := node("192.0.2.1", now.Add(2*time.Second), nil, nil)
			n.Status.TunnelStates = nil
			tr.Set(n)
		}, "[192.0.2.1: 1-2,5]", nil, nil},
		{"again", func() { tr.Set(node("192.0.2.1", now.Add(3*time.Second), []uint32{1}, nil)) }, "[192.0.2.1: 1]", []int32{1}, nil},
		{"a set that is none", func() {
			n := node("192.0.2.1", now.Add(4*time.Second), nil, []uint32{2})
			n.Status.TunnelStates.Up = []byte{0}
			tr.Set(n)
		}, "[192.0.2.1: 1-2]", nil, []int32{2}},
		{"another namespace", func() {
			n := node("192.0.2.1", now, []uint32{7}, nil)
			n.Namespace = "epic-evil"
			tr.Set(n)
			tr.Delete(n)
		}, "[]", nil, []int32{2}},
		{"a name that is none", func() { tr.Set(node("gw", now, []uint32{7}, nil)) }, "[]", nil, []int32{2}},
		{"gone", func() { tr.Delete(node("192.0.2.1", now, nil, nil)) }, "[192.0.2.1: 2]", nil, nil},
		{"gone again", func() { tr.Delete(node("192.0.2.1", now, nil, nil)) }, "[]", nil, nil},
	} {
		step.do()
		if got := changes(); got != step.change {
			t.Errorf("%s: told %s, want %s", step.name, got, step.change)
		}
		for id := int32(-1); id < 10; id++ {
			want := Unknown
			if slices.Contains(step.up, id) {
				want = Up
			} else if slices.Contains(step.down, id) {
				want = Down
			}
			if got := tr.State(id, one); got != want {
				t.Errorf("%s: tunnel %d is %s, want %s", step.name, id, got, want)
			}
			if got := tr.State(id, two); got != Unknown {
				t.Errorf("%s: tunnel %d of another node is %s", step.name, id, got)
			}
		}
	}
}

// A node can say of all tunnels there are that they are up or down. Only those that
// end on it change, and it costs nothing to hear it.
func TestANodeThatLies(t *testing.T) {
	tr := New(Options{})
	now := time.Now()
	tr.Set(node("2001-db8--2", now, []uint32{7}, []uint32{8}))
	n := node("192.0.2.1", now, nil, nil)
	n.Status.TunnelStates.Down = []byte{1, 0xfe, 0xff, 0xff, 0xff, 0x07}
	var changed idset.Set
	tr.OnChange(func(c Change) { changed = c.Tunnels })
	tr.Set(n)
	if tr.State(7, two) != Up || tr.State(8, two) != Down || tr.State(9, two) != Unknown {
		t.Error("it spoke for another node")
	}
	if tr.State(7, one) != Down || changed.Len() != int(idset.MaxID) {
		t.Errorf("its own: %s, %s changed", tr.State(7, one), changed)
	}
}

// Reports lapse without heartbeats, by this program's clock, whatever the server's is.
func TestHeartbeatsStop(t *testing.T) {
	for name, skew := range map[string]time.Duration{"the same clock": 0, "a server ahead": time.Hour, "a server behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				tr := New(Options{})
				changes := told(tr)
				go tr.Run(ctx)
				beat := func() {
					tr.Set(node("192.0.2.1", time.Now().Add(skew), []uint32{1}, []uint32{2}))
					synctest.Wait()
				}
				expect := func(what string, up, down State, change string) {
					t.Helper()
					synctest.Wait()
					if tr.State(1, one) != up || tr.State(2, one) != down {
						t.Errorf("%s: %s and %s", what, tr.State(1, one), tr.State(2, one))
					}
					if got := changes(); got != change {
						t.Errorf("%s: told %s, want %s", what, got, change)
					}
				}
				beat()
				if skew < 0 {
					// It seems to be old until it writes again.
					expect("first", Unknown, Unknown, "[]")
					time.Sleep(time.Minute)
					beat()
				}
				expect("first", Up, Down, "[192.0.2.1: 1-2]")
				for range 5 {
					time.Sleep(2 * time.Minute)
					beat()
					expect("it lives", Up, Down, "[]")
				}
				time.Sleep(3*time.Minute - time.Second)
				// An event that is no heartbeat.
				tr.Set(node("192.0.2.1", time.Now().Add(skew-3*time.Minute+time.Second), []uint32{1}, []uint32{2}))
				expect("just in time", Up, Down, "[]")
				time.Sleep(2 * time.Second)
				expect("silent", Unknown, Unknown, "[192.0.2.1: 1-2]")
				beat()
				expect("back", Up, Down, "[192.0.2.1: 1-2]")
				tr.Delete(node("192.0.2.1", time.Time{}, nil, nil))
				expect("gone", Unknown, Unknown, "[192.0.2.1: 1-2]")
				time.Sleep(time.Hour)
				expect("for long", Unknown, Unknown, "[]")
				cancel()
			})
		})
	}
}

func TestOf(t *testing.T) {
	tr := New(Options{})
	tr.Set(node("192.0.2.1", time.Now(), []uint32{1}, []uint32{2}))
	status := &epicv1.ProxyStatus{GUETunnelEndpoints: map[string]epicv1.TunnelEndpoint{"10.0.0.1": {EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{
		"192.0.2.1": {TunnelID: 2}, "2001:db8::2": {TunnelID: 1}, "192.0.2.3": {}, "none": {TunnelID: 3},
	}}}}
	if got := fmt.Sprint(tr.Of(status, "10.0.0.1")); got != "map[192.0.2.1:down 2001:db8::2:unknown]" {
		t.Error(got)
	}
	if got := tr.Of(status, "10.0.0.2"); len(got) != 0 {
		t.Error(got)
	}
}

func TestHandler(t *testing.T) {
	tr := New(Options{})
	h := tr.Handler()
	n := node("192.0.2.1", time.Now(), []uint32{1}, nil)
	h.OnAdd(n, true)
	if tr.State(1, one) != Up {
		t.Error("not added")
	}
	h.OnUpdate(n, node("192.0.2.1", time.Now(), nil, []uint32{1}))
	if tr.State(1, one) != Down {
		t.Error("not updated")
	}
	h.OnAdd(&epicv1.EPIC{}, true)
	h.OnDelete(cache.DeletedFinalStateUnknown{Obj: n})
	if tr.State(1, one) != Unknown {
		t.Error("not deleted")
	}
}

// SPDX-License-Identifier: Apache-2.0

package events

import (
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

func keyOf(kind, namespace, name string) objectKey {
	return objectKey{kind, types.NamespacedName{Namespace: namespace, Name: name}}
}

// However many tunnels flap, the writes a minute are bounded, and what concerns the
// platform team is recorded all the same.
func TestFlappingTunnels(t *testing.T) {
	const tunnels, minutes = 10000, 10
	now := time.Unix(1, 0)
	l := newLimiter(func() time.Time { return now })
	for minute := range minutes {
		written := 0
		for second := range 60 {
			// Each tunnel changes its state once in ten seconds.
			for i := second % 10; i < tunnels; i += 10 {
				if by, _ := l.take(keyOf("RemoteEndpoint", fmt.Sprintf("epic-%d", i%100), fmt.Sprint(i))); by == "" {
					written++
				}
			}
			if second%20 == 0 {
				if by, _ := l.take(keyOf("ServicePrefix", "epic", fmt.Sprintf("pool-%d", minute))); by != "" {
					t.Errorf("minute %d: the event of a pool is dropped by the limit of the %s", minute, by)
				}
			}
			now = now.Add(time.Second)
		}
		most := int(time.Minute / programLimit.every)
		if minute == 0 {
			most += programLimit.burst
		}
		if written == 0 || written > most {
			t.Errorf("minute %d: %d events, want 1 to %d", minute, written, most)
		}
	}
}

// An object, a namespace and a program have a limit each, and the namespace of one tenant
// takes nothing from the others.
func TestLimits(t *testing.T) {
	now := time.Unix(1, 0)
	l := newLimiter(func() time.Time { return now })
	one := keyOf("LoadBalancer", "epic-a", "one")
	for i := range objectLimit.burst {
		if by, dropped := l.take(one); by != "" || dropped != 0 {
			t.Fatalf("event %d: %q, %d", i, by, dropped)
		}
	}
	for range 3 {
		if by, _ := l.take(one); by != byObject {
			t.Errorf("dropped by %q, want %q", by, byObject)
		}
	}
	now = now.Add(objectLimit.every)
	if by, dropped := l.take(one); by != "" || dropped != 3 {
		t.Errorf("after a while: %q, %d dropped before, want 3", by, dropped)
	}
	by := ""
	for i := 0; i < programLimit.burst && by == ""; i++ {
		by, _ = l.take(keyOf("GWProxy", "epic-a", fmt.Sprint(i)))
	}
	if by != byNamespace {
		t.Errorf("a namespace with many proxies: %q, want %q", by, byNamespace)
	}
	if by, _ := l.take(keyOf("Account", "epic-a", "a")); by != "" {
		t.Errorf("its account is dropped by %q", by)
	}
	if by, _ := l.take(keyOf("GWProxy", "epic-b", "p")); by != "" {
		t.Errorf("another namespace is dropped by %q", by)
	}
}

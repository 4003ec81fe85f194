// SPDX-License-Identifier: Apache-2.0

package layer2

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/node/internal/testns"
)

func TestInterfaces(t *testing.T) {
	node, other := testns.New(t), testns.New(t)
	uplink, _ := testns.Veth(t, node, "uplink", other, "eth0")
	node.Address(uplink, "192.0.2.1/24")
	inside := func(do func() error) {
		t.Helper()
		if err := node.Do(do); err != nil {
			t.Fatal(err)
		}
	}
	inside(func() error {
		if names, err := defaultInterfaces(); err == nil {
			return fmt.Errorf("without a default route: %v", names)
		}
		return nil
	})
	node.Route(uplink, "0.0.0.0/0", "192.0.2.9")
	inside(func() error {
		if names, err := defaultInterfaces(); err != nil || fmt.Sprint(names) != "[uplink]" {
			return fmt.Errorf("the default interfaces are %v, %w", names, err)
		}
		s := NewServer(func() {})
		defer func() { _ = s.Apply(Settings{}) }()
		for name, want := range map[string]Settings{
			"the default": {Enabled: true, Addresses: []netip.Addr{public, public6}},
			"by name":     {Enabled: true, Interfaces: []string{"uplink", "missing"}, Addresses: []netip.Addr{public}},
		} {
			if err := s.Apply(want); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if states := s.States(); len(states) < len(want.Addresses) || states[0].Interface != "uplink" || states[0].Role != Candidate {
				return fmt.Errorf("%s: %+v", name, states)
			}
		}
		if err := s.Apply(Settings{Enabled: true, Interfaces: []string{"missing"}}); err == nil {
			return fmt.Errorf("no error about interfaces that no node has")
		}
		if err := s.Apply(Settings{Enabled: true, Interfaces: []string{"lo"}}); err == nil {
			return fmt.Errorf("no error about an interface without hardware addresses")
		}
		return nil
	})
}

// What is addressed to others reaches no election, and answers go to those who ask.
func TestTake(t *testing.T) {
	l := &link{name: "x", mac: alice, elections: map[netip.Addr]*Election{}}
	now := time.Unix(0, 0)
	e := NewElection(public, alice, now)
	l.elections[public] = e
	e.Ready(true, now)
	for range 10 {
		l.take(Message{Kind: Claim, Target: public, From: bob}, now)
		now = now.Add(time.Second)
		e.Tick(now)
	}
	if e.Role() != Candidate || e.Holder() != bob {
		t.Errorf("%s, %x", e.Role(), e.Holder())
	}
	l.take(Message{Kind: Claim, Target: visitor4, From: bob}, now)
	if len(l.elections) != 1 {
		t.Error("a claim of another address began an election")
	}
}

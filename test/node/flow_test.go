// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"testing"

	"github.com/acnodal/epic/pkg/node/status"
)

// API objects alone make a request flow, through NAT, and both ends say so.
func TestRequestFlows(t *testing.T) {
	s := newSite(t, 1)
	s.podServes(0, 8080, "hello")
	v := s.service(0, "web", 8080)
	v.answers("hello")
	for _, e := range []*end{s.gateway, s.tenants[0]} {
		s.until(e.name+" knows its tunnel", func() error {
			tunnel, err := v.tunnel(e)
			if err != nil {
				return err
			}
			if tunnel.State != status.Up || !tunnel.Remote.IsValid() || tunnel.RTT == 0 || tunnel.Services != 1 || tunnel.Counters.ReceivedPackets == 0 || tunnel.Counters.SentPackets == 0 {
				return fmt.Errorf("%+v", tunnel)
			}
			return nil
		})
		e.ready()
	}
	tunnel, err := v.tunnel(s.gateway)
	s.must(err)
	if got, want := tunnel.Remote.Addr().String(), s.world.Tenants[0].PublicAddress; got != want {
		t.Errorf("the gateway's remote is %s, want the NAT's %s", got, want)
	}
}

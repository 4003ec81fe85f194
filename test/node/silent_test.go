// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/node/status"
)

// A client node that dies under traffic is noticed in seconds, however seldom it sends
// PINGs, and the end of its program alone is not: traffic continues.
func clientNodeDies(t *testing.T, s *site, v *service) {
	const interval = 2 * time.Minute
	e := s.tenants[v.tenant]
	is := func(what, state string) {
		t.Helper()
		s.until(what, func() error {
			tunnel, err := v.tunnel(s.gateway)
			if err == nil && tunnel.State != state {
				err = errors.New(tunnel.State)
			}
			return err
		})
	}
	s.must(e.process.Stop())
	e.run("--ping-interval=" + interval.String())
	e.ready()
	is("the tunnel is up", status.Up)
	r := v.traffic()
	flows := func() {
		t.Helper()
		before := r.requests.Load()
		s.until("requests", func() error {
			if n := r.requests.Load() - before; n < 50 {
				return fmt.Errorf("%d", n)
			}
			return nil
		})
	}
	flows()
	s.must(e.process.Kill())
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
		if tunnel, err := v.tunnel(s.gateway); err != nil || tunnel.State != status.Up {
			t.Fatalf("the tunnel is %s after %s, and only the program on the client node was killed: %v", tunnel.State, time.Since(begin), err)
		}
	}
	flows()
	if n := r.failed.Load(); n > 0 {
		t.Errorf("%d of %d requests failed", n, r.requests.Load())
	}
	restore, err := s.world.Tenants[v.tenant].NAT.Lose(100)
	s.must(err)
	begin := time.Now()
	is("the tunnel is down", status.Down)
	took := time.Since(begin)
	t.Logf("a client node that is gone is noticed after %s", took)
	// The rest is for a machine that does much else.
	if took > 15*time.Second {
		t.Errorf("a client node that is gone is noticed after %s", took)
	}
	r.stop()
	_, err = restore()
	s.must(err)
	e.run()
	e.ready()
	is("the tunnel is up again", status.Up)
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/acnodal/epic/test/netlab"
)

// lostSegments counts what a service's visitor and proxy send each other, and its proxy
// and pod. The function that it returns reports how much of that did not arrive, once
// nothing is on its way anymore.
//
// It compares what one host sent with what the other received, and not what TCP sent again:
// on a busy machine a handshake's packet that is only late is sent again too, and nobody
// indicates that it came twice.
func lostSegments(s *site, v *service) (check func(what string)) {
	s.t.Helper()
	type leg struct {
		near, far string
		read      [2]func() (netlab.Segments, error)
		stop      [2]func() error
	}
	var legs []leg
	count := func(near string, from *netlab.Namespace, far string, to *netlab.Namespace, at string) {
		l := leg{near: near, far: far}
		var err, err2 error
		l.read[0], l.stop[0], err = from.CountSegments(netip.MustParseAddrPort(at), false)
		l.read[1], l.stop[1], err2 = to.CountSegments(netip.MustParseAddrPort(at), true)
		s.must(errors.Join(err, err2))
		legs = append(legs, l)
	}
	count("proxy", v.proxy.Namespace, "pod", s.world.Tenants[v.tenant].Pod, v.at(webPort))
	count("visitor", s.world.Visitor, "proxy", v.proxy.Namespace, v.public)
	return func(what string) {
		s.t.Helper()
		defer func() {
			for _, l := range legs {
				s.must(errors.Join(l.stop[0](), l.stop[1]()))
			}
		}()
		for _, l := range legs {
			arrived := func() error {
				near, err := l.read[0]()
				far, err2 := l.read[1]()
				if err := errors.Join(err, err2); err != nil {
					return err
				}
				if near.Sent == 0 || near.Sent != far.Received || far.Sent != near.Received {
					return fmt.Errorf("the %s sent %d and the %s received %d, the %s sent %d and the %s received %d",
						l.near, near.Sent, l.far, far.Received, l.far, far.Sent, l.near, near.Received)
				}
				return nil
			}
			s.until(what+": all segments that were sent arrive", arrived)
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"net"

	"github.com/acnodal/epic/test/netlab"
	"github.com/acnodal/epic/test/tools/wire"
)

// dial connects to something, wherever it is.
type dial func(ctx context.Context) (net.Conn, error)

// to connects from a network namespace, or from the machine's own if that is nil.
func to(host *netlab.Namespace, network, address string) dial {
	return func(ctx context.Context) (net.Conn, error) {
		if host == nil {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		return host.Dial(ctx, network, address)
	}
}

// gate leads from a loopback address of a namespace, or of the machine itself if that is nil, to a
// server elsewhere.
func (s *site) gate(host *netlab.Namespace, d dial) *wire.Wire {
	s.Helper()
	w, err := wire.New(s.Context(), host, "127.0.0.1:0", d)
	s.must(err)
	return w
}

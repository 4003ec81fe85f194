// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
)

const (
	// quietFor is how long a tunnel in use may be without a packet from the far end.
	quietFor = time.Second
	// quietEvery is how often the counters are read. Where reading takes long, it is
	// done less often, so that it keeps no more than a twentieth of a processor busy.
	quietEvery = 250 * time.Millisecond
)

// quietTunnels finds tunnels in use by which nothing comes any more.
type quietTunnels struct {
	tunnels map[uint32]quietTunnel
}

type quietTunnel struct {
	received, sent uint64
	// since is when the last packet came, or the first one went out after the far end
	// was heard of. It is zero while nothing is expected.
	since time.Time
}

// look compares counters with the last ones. It returns the tunnels that have been quiet for
// so long that their far ends have to be asked. Seen is when a far end answered last.
func (q *quietTunnels) look(now time.Time, counters map[uint32]dataplane.Counters, seen func(uint32) time.Time) []uint32 {
	var quiet []uint32
	next := make(map[uint32]quietTunnel, len(counters))
	for id, c := range counters {
		was, known := q.tunnels[id]
		is := quietTunnel{received: c.ReceivedPackets, sent: c.SentPackets, since: was.since}
		switch {
		case !known:
		case is.received != was.received || is.since.IsZero() && is.sent != was.sent:
			is.since = now
		case is.since.IsZero():
		case seen(id).After(is.since):
			// The far end is there. It has nothing to send.
			is.since = time.Time{}
		case now.Sub(is.since) >= quietFor:
			quiet = append(quiet, id)
			is.since = time.Time{}
		}
		next[id] = is
	}
	q.tunnels = next
	return quiet
}

// hurryQuiet has a client node ask far ends that fell silent. A NAT that has changed its
// mapping lets nothing in until a packet of the control protocol has told the far end of it,
// so it costs about a second and not the interval of PINGs.
func hurryQuiet(ctx context.Context, tunnels dataplane.Tunnels, initiator *gue.Initiator) {
	var q quietTunnels
	seen := func(id uint32) time.Time {
		state, _ := initiator.State(id)
		return state.Seen
	}
	for pause := quietEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		begin := time.Now()
		counters, err := tunnels.Counters()
		if err != nil {
			klog.FromContext(ctx).V(2).Info("The counters of tunnels can not be read", "err", err)
			continue
		}
		for _, id := range q.look(begin, counters, seen) {
			initiator.Hurry(id)
		}
		pause = max(quietEvery, 20*time.Since(begin))
	}
}

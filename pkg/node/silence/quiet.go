// SPDX-License-Identifier: Apache-2.0

package silence

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
	// quietEvery is the interval at which the counters are read. If reading takes long,
	// it is done less often, so it uses at most a twentieth of a processor.
	quietEvery = 250 * time.Millisecond
)

// quietTunnels detects tunnels in use that no longer receive anything.
type quietTunnels struct {
	tunnels map[uint32]quietTunnel
	round   uint32
}

// quietTunnel is compact, because a node may have a hundred thousand.
type quietTunnel struct {
	// since is when the last packet was received, or the first one sent after the far end
	// was last heard, in the lower bits of Unix microseconds: one of the next looks
	// clears it. It is zero while nothing is expected.
	since uint32
	// received and sent are the lower bits of the counters, which suffice to detect
	// changes.
	received, sent uint32
	// round is the number of the last look that included the tunnel.
	round uint32
}

// look compares counters, which read provides, with the last ones. It returns the tunnels
// that have been quiet for so long that their far ends have to be asked. seen returns
// when a far end last responded.
func (q *quietTunnels) look(now time.Time, read func(see func(uint32, dataplane.Counters)) error, seen func(uint32) time.Time) ([]uint32, error) {
	if q.tunnels == nil {
		q.tunnels = map[uint32]quietTunnel{}
	}
	// open lists tunnels from which a packet is expected and none has been received.
	var open []uint32
	q.round++
	count := 0
	err := read(func(id uint32, c dataplane.Counters) {
		count++
		was, known := q.tunnels[id]
		is := quietTunnel{received: uint32(c.ReceivedPackets), sent: uint32(c.SentPackets), since: was.since, round: q.round}
		switch {
		case !known:
		case is.received != was.received || is.since == 0 && is.sent != was.sent:
			is.since = max(1, uint32(now.UnixMicro()))
		case is.since != 0:
			open = append(open, id)
		}
		q.tunnels[id] = is
	})
	if err != nil {
		return nil, err
	}
	// Do not do this while reading the counters: the data plane is locked then, and the
	// component that knows the far ends writes to the data plane while holding its own
	// lock.
	var quiet []uint32
	for _, id := range open {
		is := q.tunnels[id]
		since := now.Add(-time.Duration(uint32(now.UnixMicro())-is.since) * time.Microsecond)
		switch {
		case seen(id).After(since):
			// The far end is up and has nothing to send.
			is.since = 0
		case now.Sub(since) >= quietFor:
			quiet = append(quiet, id)
			is.since = 0
		}
		q.tunnels[id] = is
	}
	if len(q.tunnels) > count {
		for id, is := range q.tunnels {
			if is.round != q.round {
				delete(q.tunnels, id)
			}
		}
	}
	return quiet, nil
}

// HurryQuiet makes a client node send PINGs to far ends that fell silent. A NAT that has
// changed its mapping admits nothing until a packet of the control protocol has informed
// the far end. HurryQuiet reduces that time from the PING interval to about a second.
func HurryQuiet(ctx context.Context, tunnels dataplane.Tunnels, initiator *gue.Initiator) {
	var q quietTunnels
	seen := func(id uint32) time.Time {
		state, _ := initiator.State(id)
		return state.Seen
	}
	watchQuiet(ctx, func(now time.Time) error {
		quiet, err := q.look(now, tunnels.EachCounters, seen)
		for _, id := range quiet {
			initiator.Hurry(id)
		}
		return err
	})
}

// watchQuiet calls look periodically until the context ends.
func watchQuiet(ctx context.Context, look func(time.Time) error) {
	for pause := quietEvery; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		begin := time.Now()
		if err := look(begin); err != nil {
			klog.FromContext(ctx).V(2).Info("The counters of tunnels cannot be read", "err", err)
		}
		pause = max(quietEvery, 20*time.Since(begin))
	}
}

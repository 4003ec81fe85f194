// SPDX-License-Identifier: Apache-2.0

package node

import (
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/liveness"
	"github.com/acnodal/epic/pkg/node/publish"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

const (
	// shownDown is the maximum number of down tunnels in a report, and maxStates the
	// maximum total size of its sets of tunnels in bytes. Both are limits of the API.
	shownDown, maxStates = 50, 640 << 10
)

// reporter provides the state for a gateway node's GatewayNode object.
type reporter struct{ *gateway }

var _ publish.Reporter = reporter{}

// Resume implements publish.Reporter.
func (r reporter) Resume(before epicv1.GatewayNodeStatus) {
	if before.TunnelStates == nil {
		return
	}
	// Tunnels of a set that can't be decoded are unknown.
	up, _ := idset.Decode(before.TunnelStates.Up)
	down, _ := idset.Decode(before.TunnelStates.Down)
	r.live.Resume(up, down)
}

// Status implements publish.Reporter.
func (r reporter) Status() epicv1.GatewayNodeStatus {
	s := epicv1.GatewayNodeStatus{NodeName: r.Name, Version: r.Version}
	c := metav1.Condition{Type: "Ready", Status: metav1.ConditionTrue, Reason: "Programmed", Message: "the node works", LastTransitionTime: metav1.NewTime(r.started)}
	report := r.Report()
	if err := r.Ready(); err != nil {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Starting", err.Error()
	} else if problems := report.Problems; len(problems) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "Problems", summary(problems)
	}
	s.Conditions = []metav1.Condition{c}
	r.reportAnnouncements(report.Announcements, &s)
	return s
}

// Look implements publish.Reporter. Until everything wanted is programmed, the earlier
// program's report stays.
func (r reporter) Look() uint64 {
	if r.Ready() != nil {
		return 0
	}
	return r.live.Look(time.Now(), liveness.World{
		Tunnels: func(see func(uint32, netip.Addr)) {
			r.applier.EachIntent(func(i *intent.Intent) {
				for _, t := range i.Tunnels {
					see(t.ID, t.TenantNode)
				}
			})
		},
		Peers: r.responder.Each,
		Received: func() (map[uint32]uint64, error) {
			received := map[uint32]uint64{}
			err := r.Plane.Tunnels().EachCounters(func(id uint32, c dataplane.Counters) { received[id] = c.ReceivedPackets })
			return received, err
		},
		Silent: r.silent.Has,
	})
}

// Tunnels implements publish.Reporter.
func (r reporter) Tunnels(s *epicv1.GatewayNodeStatus) {
	report := r.live.Report(shownDown)
	down := report.Down.EncodeAtMost(maxStates)
	s.TunnelStates = &epicv1.TunnelStates{Up: report.Up.EncodeAtMost(maxStates - len(down)), Down: down}
	s.Tunnels, s.TunnelsUp, s.TunnelsDown = int32(report.Tunnels), int32(report.Up.Len()), int32(report.Down.Len())
	for _, d := range report.First {
		shown := epicv1.DownTunnel{TunnelID: int32(d.Tunnel), TenantNode: d.FarEnd.String()}
		if !d.Heard.IsZero() {
			shown.LastAnswer = metav1.NewTime(d.Heard)
		}
		s.DownTunnels = append(s.DownTunnels, shown)
	}
}

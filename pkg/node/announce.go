// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/node/announce"
	"github.com/acnodal/epic/pkg/shorten"
)

const (
	// conditionSessions is the condition that is true while all BGP sessions of a node
	// are up.
	conditionSessions = "BGPSessionsUp"
	// maxConditionText limits texts of the announcer in the API.
	maxConditionText = 1000
)

// announce starts announcing once everything that this node delivers is known. When a
// node restarts, its peers withdraw routes that it does not announce immediately.
func (g *gateway) announce(ctx context.Context) {
	if g.announcer == nil {
		return
	}
	select {
	case <-g.settled:
	case <-ctx.Done():
		return
	}
	if !g.awaitHost(ctx) {
		return
	}
	g.keeper.apply(ctx)
	g.announcer.Run(ctx)
}

// announcements returns what is announced, to whom, and what waits.
func (g *gateway) announcements(ctx context.Context) announce.Status {
	var now announce.Status
	if g.announcer != nil {
		now = g.announcer.Status(ctx)
	}
	now.Waiting = g.keeper.listWaiting()
	return now
}

// reportAnnouncements adds the announcements to a node's report.
func (g *gateway) reportAnnouncements(now announce.Status, s *epicv1.GatewayNodeStatus) {
	s.Layer2Addresses = int32(now.Answered())
	s.AnnouncedRoutes = int32(len(now.Routes))
	if len(now.Peers) == 0 {
		return
	}
	var down []string
	for _, p := range now.Peers {
		s.BGPPeers = append(s.BGPPeers, epicv1.BGPPeerStatus{Name: p.Name, Address: p.Address.String(), State: p.State(), BFD: p.BFD(), Message: shorten.To(maxConditionText, p.Message)})
		if !p.Up {
			down = append(down, fmt.Sprintf("%s (%s): %s", p.Name, p.Address, p.Message))
		}
	}
	c := metav1.Condition{Type: conditionSessions, Status: metav1.ConditionTrue, Reason: "Established", Message: "all BGP sessions are up", LastTransitionTime: metav1.NewTime(g.started)}
	if len(down) > 0 {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, "SessionsDown", shorten.To(maxConditionText, strings.Join(down, "; "))
	}
	s.Conditions = append(s.Conditions, c)
}

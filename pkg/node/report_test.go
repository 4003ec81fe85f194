// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/dataplane"
	"github.com/acnodal/epic/pkg/gue"
	"github.com/acnodal/epic/pkg/node/apply"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/internal/fakeplane"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/node/status"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

// The function that judges tunnels may ask the applier while it holds a lock, like the tracker
// of a gateway node does.
func TestReportJudgesOutsideTheApplier(t *testing.T) {
	kernel := fakeplane.New()
	p := plane{kernel, kernel.Observer()}
	ends := &gatewayEnds{Responder: gue.NewResponder(gue.ResponderOptions{}), cookies: &formerCookies{all: map[uint32]gue.CookieUse{}}}
	end := netip.MustParseAddrPort("192.0.2.1:6080")
	applier := apply.New(p, ends, func(*intent.Intent) apply.Plan {
		return apply.Plan{Tunnels: []dataplane.Tunnel{{ID: 7, Local: end, MTU: 1464}}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go applier.Run(ctx)
	applier.Set(&intent.Intent{Key: intent.Key{Kind: proxies.LoadBalancer, Namespace: "a", Name: "b"}})
	if err := applier.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	a := &agent{Config: Config{Plane: p}, role: roleGateway, control: ends, applier: applier}
	a.judge = func(tunnel uint32) tunnelstate.State {
		applier.Owner(tunnel)
		return tunnelstate.Up
	}
	done := make(chan status.Report, 1)
	go func() {
		var r status.Report
		a.reportTunnels(&r)
		done <- r
	}()
	select {
	case r := <-done:
		if len(r.Tunnels) != 1 || r.Tunnels[0].ID != 7 {
			t.Errorf("reported are %+v", r.Tunnels)
		}
	case <-ctx.Done():
		t.Fatal("the report does not end")
	}
}

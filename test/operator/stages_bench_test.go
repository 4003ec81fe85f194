// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"sync"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// stages observes the xDS server, and measures how long the stages of a change take.
type stages struct {
	mu sync.Mutex
	// last is what a proxy acknowledged last of each type.
	last map[stageKey]stage
	// set is from the API write until the operator hands the resource to the xDS server,
	// send from there until it is sent, and apply until Envoy acknowledges it.
	set, send, apply times
}

type stageKey struct {
	name string
	kind resource.Type
}

type stage struct{ set, sent, acknowledged time.Time }

// Connected implements xds.Observer.
func (*stages) Connected(proxyidentity.Identity, time.Time) {}

// Disconnected implements xds.Observer.
func (*stages) Disconnected(proxyidentity.Identity, time.Time, error) {}

// Refused implements xds.Observer.
func (*stages) Refused(proxyidentity.Identity, delta.Refusal) {}

// Acknowledged implements xds.Observer.
func (s *stages) Acknowledged(id proxyidentity.Identity, a delta.Acknowledgment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range a.Entries {
		s.last[stageKey{id.Name, a.Type}] = stage{e.Set, a.Sent, a.At}
	}
}

// add takes the stages of a change that was written at a time and is served. Envoy
// acknowledges at about the time at which it begins to serve.
func (s *stages) add(proxy string, kind resource.Type, begin time.Time) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(pause) {
		s.mu.Lock()
		last := s.last[stageKey{proxy, kind}]
		s.mu.Unlock()
		if last.set.After(begin) {
			s.set.add(last.set.Sub(begin))
			s.send.add(last.sent.Sub(last.set))
			s.apply.add(last.acknowledged.Sub(last.sent))
			return
		}
	}
}

func (s *stages) report(b *testing.B) {
	s.set.report(b, "write-to-xds")
	s.send.report(b, "xds-to-sent")
	s.apply.report(b, "sent-to-acknowledged")
}

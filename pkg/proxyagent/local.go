// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/acnodal/epic/pkg/envoy/delta"
)

const (
	// localName is the source name of responses made from stored resources.
	localName = "kept"
	// localQuiet is how long nothing may happen before Envoy has everything that was
	// stored, and localLimit the maximum time for that while the operator waits.
	localQuiet = 100 * time.Millisecond
	localLimit = 5 * time.Second
)

// local serves stored resources to Envoy.
type local struct {
	session *delta.Session
	began   time.Time
	// active is when something last happened.
	active time.Time
}

func newLocal(view kept, now time.Time) *local {
	return &local{session: delta.NewSession(view, delta.DefaultOptions()), began: now, active: now}
}

// request handles a request of Envoy. Its nonce is one that next returned, or empty.
func (l *local) request(r *discoveryv3.DeltaDiscoveryRequest, now time.Time) {
	l.active = now
	// Envoy names at most what it was sent or configured with.
	_, _ = l.session.Request(r, now)
	l.session.TakeEvents()
}

// next returns the next response.
func (l *local) next(now time.Time) *discoveryv3.DeltaDiscoveryResponse {
	response, _ := l.session.Next(now)
	if response == nil {
		return nil
	}
	l.active = now
	return response.Message()
}

// complete reports whether Envoy has everything that was stored.
func (l *local) complete(now time.Time) bool {
	return l.session.Quiet() && now.Sub(l.active) >= localQuiet
}

// finished reports whether the operator may take over.
func (l *local) finished(now time.Time) bool {
	return l.complete(now) || now.Sub(l.began) >= localLimit
}

// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"time"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Observer is notified of events on the streams of pods. Calls for one stream are made in
// order, from the stream's own goroutine and without a lock. A call that blocks only
// delays that stream. Treat calls as hints to read Server.State: they may be late or, if
// a pod connects to another server, be missing.
type Observer interface {
	// Connected reports that a pod opened a stream.
	Connected(id proxyidentity.Identity, at time.Time)
	// Disconnected reports that a stream ended, and why.
	Disconnected(id proxyidentity.Identity, at time.Time, err error)
	// Acknowledged reports that a pod accepted a response.
	Acknowledged(id proxyidentity.Identity, a delta.Acknowledgment)
	// Refused reports that a pod refused one resource. Its Sources are the objects from
	// which it was made.
	Refused(id proxyidentity.Identity, r delta.Refusal)
}

// nothing is an observer that ignores everything.
type nothing struct{}

// Connected implements Observer.
func (nothing) Connected(proxyidentity.Identity, time.Time) {}

// Disconnected implements Observer.
func (nothing) Disconnected(proxyidentity.Identity, time.Time, error) {}

// Acknowledged implements Observer.
func (nothing) Acknowledged(proxyidentity.Identity, delta.Acknowledgment) {}

// Refused implements Observer.
func (nothing) Refused(proxyidentity.Identity, delta.Refusal) {}

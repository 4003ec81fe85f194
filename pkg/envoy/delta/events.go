// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"time"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Events lists what happened in a session.
type Events struct {
	Acknowledged []Acknowledgment
	Refused      []Refusal
}

// Acknowledgment is a response that the client accepted.
type Acknowledgment struct {
	Type resource.Type
	// Entries are the resources in the versions that were sent, Removed the names of
	// those that were removed.
	Entries []*Entry
	Removed []string
	// Sent is when the response was sent, At when it was acknowledged.
	Sent, At time.Time
}

// Refusal is a resource that the client refused.
type Refusal struct {
	// Resource is the refused version. Its Body is nil if a removal was refused.
	Resource *resource.Resource
	// Text is the client's error.
	Text string
	At   time.Time
}

// TakeEvents returns the events since the last call.
func (s *Session) TakeEvents() Events {
	e := s.events
	s.events = Events{}
	return e
}

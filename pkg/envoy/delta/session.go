// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"time"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Options limits a session.
type Options struct {
	// MaxBatch is the maximum size of the resources in a response, in bytes, unless a
	// single resource is larger. It limits how long an urgent change waits.
	MaxBatch int
	// MaxNames is the maximum number of names that a client may subscribe to or hold.
	MaxNames int
	// WarmTimeout is how long listeners and routes wait for the acknowledgment of
	// clusters. Envoy acknowledges new clusters when they have their endpoints and
	// secrets.
	WarmTimeout time.Duration
	// RetryRefused is the delay before a refused version is sent again after a change of
	// the rest. It doubles with each refusal, up to MaxRetryRefused.
	RetryRefused, MaxRetryRefused time.Duration
}

// DefaultOptions returns the options for Envoy.
func DefaultOptions() Options {
	return Options{
		MaxBatch: 256 << 10, MaxNames: 50_000, WarmTimeout: 2 * time.Second,
		RetryRefused: time.Second, MaxRetryRefused: 5 * time.Minute,
	}
}

// Session is the state of one stream.
type Session struct {
	view    View
	options Options
	types   [resource.TypeCount]subscription
	// sequence counts responses and is their nonce.
	sequence uint64
	// again holds, for endpoints that must follow a cluster, the sequence number of the
	// response with the cluster.
	again map[string]uint64
	// retry is when the first refused version is due, or zero.
	retry  time.Time
	events Events
}

// NewSession starts a session with a client.
func NewSession(view View, options Options) *Session {
	s := &Session{view: view, options: options, again: map[string]uint64{}}
	for t := range s.types {
		s.types[t].init()
	}
	return s
}

// Changed informs the session that a resource was set, replaced or removed.
func (s *Session) Changed(k resource.Key) {
	sub := &s.types[k.Type]
	if !sub.requested || !sub.interested(k.Name) {
		return
	}
	if e := s.view.Get(k.Type, k.Name); e != nil {
		sub.dirty[e.Name] = struct{}{}
		delete(sub.gone, k.Name)
		return
	}
	delete(sub.dirty, k.Name)
	delete(sub.refused, k.Name)
	sub.gone[k.Name] = struct{}{}
}

// Restructured informs the session that something other than endpoints changed, so a
// version that was refused may now be accepted.
func (s *Session) Restructured() {
	for t := range s.types {
		for _, r := range s.types[t].refused {
			if !r.due.IsZero() || r.again {
				continue
			}
			delay := s.options.RetryRefused << min(r.tries-1, 20)
			r.due = r.at.Add(min(delay, s.options.MaxRetryRefused))
			if s.retry.IsZero() || r.due.Before(s.retry) {
				s.retry = r.due
			}
		}
	}
}

// Refresh compares everything that the client subscribes to or holds. Call it once the
// configuration becomes known.
func (s *Session) Refresh() {
	for t := range s.types {
		s.refresh(resource.Type(t))
	}
}

func (s *Session) refresh(t resource.Type) {
	sub := &s.types[t]
	if !sub.requested || !s.view.Ready() {
		return
	}
	if sub.wildcard {
		s.view.Each(t, func(name string) { s.Changed(resource.Key{Type: t, Name: name}) })
	}
	for name := range sub.names {
		s.Changed(resource.Key{Type: t, Name: name})
	}
	for name := range sub.held {
		s.Changed(resource.Key{Type: t, Name: name})
	}
}

// Quiet reports whether the client has requested clusters and listeners and nothing
// remains to be sent or acknowledged.
func (s *Session) Quiet() bool {
	if !s.view.Ready() || !s.types[resource.Cluster].requested || !s.types[resource.Listener].requested {
		return false
	}
	for t := range s.types {
		if sub := &s.types[t]; !sub.settled() || len(sub.gone) > 0 {
			return false
		}
	}
	return true
}

// Unanswered returns when the response of a type was sent that the client has neither acknowledged
// nor rejected, or zero if there is none.
func (s *Session) Unanswered(t resource.Type) time.Time {
	if out := s.types[t].out; out != nil {
		return out.sent
	}
	return time.Time{}
}

// Held returns the version of a resource that the client last acknowledged and when, or
// an empty version. The time is zero if the client already had it when it connected.
func (s *Session) Held(k resource.Key) (version string, since time.Time) {
	h := s.types[k.Type].held[k.Name]
	return h.version, h.since
}

// Refused returns the refusals of versions that are still current.
func (s *Session) Refused() []Refusal {
	var all []Refusal
	for t := range s.types {
		for name, r := range s.types[t].refused {
			if e := s.view.Get(resource.Type(t), name); e != nil && e.Version == r.version {
				all = append(all, Refusal{Resource: e.Resource, Text: r.text, At: r.at})
			}
		}
	}
	return all
}

// View returns the configuration of the client.
func (s *Session) View() View { return s.view }

// HeldNames returns the names of the resources of a type that the client holds.
func (s *Session) HeldNames(t resource.Type) []string {
	var names []string
	for name, h := range s.types[t].held {
		if h.version != unknownVersion {
			names = append(names, name)
		}
	}
	return names
}

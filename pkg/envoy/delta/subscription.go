// SPDX-License-Identifier: Apache-2.0

package delta

import "time"

// unknownVersion is the version of a resource that a client requested and that does not
// exist: the client is informed that it is removed.
const unknownVersion = ""

// subscription is the state of one type of resources on a stream.
type subscription struct {
	// requested is set by the first request of the type.
	requested bool
	// wildcard is set while the client subscribes to all resources of the type.
	wildcard bool
	// greet is set while a client that has nothing waits for a first response, which may
	// be empty.
	greet bool
	// names holds the resources that the client subscribes to by name.
	names map[string]struct{}
	// held holds the versions that the client acknowledged.
	held map[string]holding
	// dirty holds names of resources that may have to be sent, gone those of resources
	// that may have to be removed. No name is in both.
	dirty, gone map[string]struct{}
	// groups holds names of resources that were refused together. Each group is sent
	// separately.
	groups [][]string
	// refused holds the versions that the client refused.
	refused map[string]*refusal
	// out is the response that awaits the client's acknowledgment, or nil.
	out *Response
}

// holding is a version that a client acknowledged.
type holding struct {
	version string
	since   time.Time
}

// refusal is a version that a client refused.
type refusal struct {
	version, text string
	at            time.Time
	// tries counts the refusals of this version.
	tries int
	// due is when the version is sent again, or zero. again is set from then on until it
	// is sent.
	due   time.Time
	again bool
}

func (s *subscription) init() {
	s.names = map[string]struct{}{}
	s.held = map[string]holding{}
	s.dirty = map[string]struct{}{}
	s.gone = map[string]struct{}{}
	s.refused = map[string]*refusal{}
}

// interested reports whether the client subscribes to a resource.
func (s *subscription) interested(name string) bool {
	if s.wildcard {
		return true
	}
	_, ok := s.names[name]
	return ok
}

// wants reports whether a resource has to be sent. A version that was refused before is
// sent alone or not at all.
func (s *subscription) wants(e *Entry, alone bool) bool {
	if has, ok := s.held[e.Name]; e.Withheld || ok && has.version == e.Version {
		return false
	}
	r := s.refused[e.Name]
	return r == nil || r.version != e.Version || alone && r.again
}

// settled reports whether every addition was sent and acknowledged.
func (s *subscription) settled() bool {
	return s.out == nil && !s.greet && len(s.dirty) == 0 && len(s.groups) == 0
}

// forget removes the state of a resource that the client no longer subscribes to.
func (s *subscription) forget(name string) {
	delete(s.held, name)
	delete(s.dirty, name)
	delete(s.gone, name)
	delete(s.refused, name)
}

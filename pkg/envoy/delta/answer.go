// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"strings"
	"time"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// maxText limits how much of a client's error text is read and kept.
const maxText = 8 << 10

// acknowledge records that the client has the resources of a response.
func (s *Session) acknowledge(sub *subscription, out *Response, now time.Time) {
	for _, e := range out.Entries {
		if !sub.interested(e.Name) {
			// The client unsubscribed while the response was on its way.
			continue
		}
		sub.held[e.Name] = holding{version: e.Version, since: now}
		delete(sub.refused, e.Name)
		if e.Type == resource.Endpoint && s.again[e.Name] > out.sequence {
			// A cluster that needs them was sent after them.
			sub.held[e.Name] = holding{version: unknownVersion}
			sub.dirty[e.Name] = struct{}{}
		} else if e.Type == resource.Endpoint {
			delete(s.again, e.Name)
		}
	}
	for _, name := range out.Removed {
		if s.view.Get(out.Type, name) == nil {
			delete(sub.held, name)
		} else {
			// It was set again in the meantime.
			sub.held[name] = holding{version: unknownVersion}
		}
	}
	s.events.Acknowledged = append(s.events.Acknowledged, Acknowledgment{
		Type: out.Type, Entries: out.Entries, Removed: out.Removed, Sent: out.sent, At: now,
	})
}

// sendEndpointsAgain makes the endpoints of a cluster that is being sent follow it. Envoy
// does not request endpoints that it already has for another cluster, or for an earlier
// version of the cluster, and the cluster does not become ready without them.
func (s *Session) sendEndpointsAgain(e *Entry, sequence uint64) {
	if e.assignment == "" {
		return
	}
	endpoints := &s.types[resource.Endpoint]
	s.again[e.assignment] = sequence
	assignment := s.view.Get(resource.Endpoint, e.assignment)
	if _, ok := endpoints.names[e.assignment]; !ok || assignment == nil {
		return
	}
	if h, ok := endpoints.held[assignment.Name]; ok && h.version != unknownVersion {
		endpoints.held[assignment.Name] = holding{version: unknownVersion}
	}
	endpoints.dirty[assignment.Name] = struct{}{}
}

// refuse records that the client refused a response. A resource that was refused alone is
// at fault. Otherwise, the client may or may not have accepted the others, so all are
// sent again: those that the error names one by one, the rest together. If the error
// names none, each half is sent separately.
func (s *Session) refuse(sub *subscription, out *Response, text string, now time.Time) {
	text = strings.ToValidUTF8(text[:min(len(text), maxText)], "\uFFFD")
	if len(out.Entries) == 0 {
		for _, name := range out.Removed {
			delete(sub.held, name)
			s.events.Refused = append(s.events.Refused, Refusal{
				Resource: &resource.Resource{Type: out.Type, Name: name}, Text: text, At: now,
			})
		}
		return
	}
	for _, name := range out.Removed {
		if s.view.Get(out.Type, name) == nil {
			sub.gone[name] = struct{}{}
		}
	}
	if len(out.Entries) == 1 {
		s.refuseOne(sub, out.Entries[0], text, now)
		return
	}
	var named, rest []string
	for _, e := range out.Entries {
		if sub.interested(e.Name) {
			sub.held[e.Name] = holding{version: unknownVersion}
		}
		if len(named) < maxNamed && mentions(text, e.Name) {
			named = append(named, e.Name)
		} else {
			rest = append(rest, e.Name)
		}
	}
	switch {
	case len(named) == 0, len(rest) == 0:
		all := append(named, rest...)
		sub.groups = append(sub.groups, all[:len(all)/2], all[len(all)/2:])
	default:
		sub.groups = append(sub.groups, rest)
		for _, name := range named {
			sub.groups = append(sub.groups, []string{name})
		}
	}
}

func (s *Session) refuseOne(sub *subscription, e *Entry, text string, now time.Time) {
	if !sub.interested(e.Name) {
		return
	}
	r := sub.refused[e.Name]
	if r == nil || r.version != e.Version {
		r = &refusal{version: e.Version}
		sub.refused[e.Name] = r
	}
	report := r.text != text
	r.text, r.at, r.due, r.again = text, now, time.Time{}, false
	r.tries++
	if report {
		s.events.Refused = append(s.events.Refused, Refusal{Resource: e.Resource, Text: text, At: now})
	}
}

// maxNamed is the maximum number of named resources that are sent one by one. If an error
// names more, they are bisected.
const maxNamed = 32

// mentions reports whether a text contains a name that is not part of a longer one.
func mentions(text, name string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], name)
		if at < 0 || name == "" {
			return false
		}
		at += from
		end := at + len(name)
		if (at == 0 || !inName(text[at-1])) && (end == len(text) || !inName(text[end])) {
			return true
		}
		from = at + 1
	}
}

// inName reports whether a character adjacent to a name makes it part of a longer one.
func inName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '/'
}

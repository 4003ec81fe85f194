// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"maps"
	"slices"
	"strconv"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Response is a response to a client.
type Response struct {
	Type    resource.Type
	Nonce   string
	Entries []*Entry
	Removed []string

	sequence uint64
	sent     time.Time
}

// Message returns the response as a protocol message.
func (r *Response) Message() *discoveryv3.DeltaDiscoveryResponse {
	m := &discoveryv3.DeltaDiscoveryResponse{
		TypeUrl: r.Type.URL(), Nonce: r.Nonce, RemovedResources: r.Removed,
		Resources: make([]*discoveryv3.Resource, len(r.Entries)),
	}
	for i, e := range r.Entries {
		m.Resources[i] = &discoveryv3.Resource{
			Name: e.Name, Version: e.Version,
			Resource: &anypb.Any{TypeUrl: m.TypeUrl, Value: e.Body},
		}
	}
	return m
}

// Next returns the next response, which the caller must send, or nil. If it returns nil,
// call it again after a request or change, and at the time wake unless it is zero.
func (s *Session) Next(now time.Time) (next *Response, wake time.Time) {
	if !s.view.Ready() {
		return nil, time.Time{}
	}
	s.retryRefused(now)
	if next := s.take(resource.Endpoint, now); next != nil {
		return next, time.Time{}
	}
	for _, t := range []resource.Type{resource.Secret, resource.Cluster, resource.Listener, resource.Route} {
		if next := s.take(t, now); next != nil {
			return next, time.Time{}
		}
		sub := &s.types[t]
		if out := sub.out; t == resource.Cluster && out != nil && len(out.Entries) > 0 {
			if warm := out.sent.Add(s.options.WarmTimeout); now.Before(warm) {
				return nil, earlier(warm, s.retry)
			}
			continue
		}
		if !sub.settled() {
			return nil, s.retry
		}
	}
	for _, t := range []resource.Type{resource.Route, resource.Cluster, resource.Endpoint, resource.Secret} {
		if next := s.takeGone(t, now); next != nil {
			return next, time.Time{}
		}
		if s.types[t].out != nil {
			break
		}
	}
	return nil, s.retry
}

// take returns a response with resources of one type that the client does not have, or
// nil.
func (s *Session) take(t resource.Type, now time.Time) *Response {
	sub := &s.types[t]
	if sub.out != nil {
		return nil
	}
	next := &Response{Type: t}
	if len(sub.dirty) > 0 {
		s.takeDirty(sub, next)
	}
	if t == resource.Listener {
		next.Removed = s.removals(sub, t)
	}
	for len(next.Entries) == 0 && len(next.Removed) == 0 && len(sub.groups) > 0 {
		group := sub.groups[0]
		sub.groups = sub.groups[1:]
		for _, name := range group {
			if e := s.view.Get(t, name); e != nil && sub.interested(name) && sub.wants(e, len(group) == 1) {
				next.Entries = append(next.Entries, e)
			}
		}
	}
	return s.send(sub, next, now)
}

func (s *Session) takeDirty(sub *subscription, next *Response) {
	size := 0
	for _, name := range slices.Sorted(maps.Keys(sub.dirty)) {
		e := s.view.Get(next.Type, name)
		if e != nil && sub.wants(e, false) {
			if size += len(e.Body); size > s.options.MaxBatch && len(next.Entries) > 0 {
				return
			}
			next.Entries = append(next.Entries, e)
		}
		delete(sub.dirty, name)
	}
}

// takeGone returns a response with removals, or nil.
func (s *Session) takeGone(t resource.Type, now time.Time) *Response {
	sub := &s.types[t]
	if sub.out != nil || len(sub.gone) == 0 {
		return nil
	}
	return s.send(sub, &Response{Type: t, Removed: s.removals(sub, t)}, now)
}

// removals takes the names of resources that the client has and that no longer exist.
func (s *Session) removals(sub *subscription, t resource.Type) []string {
	var removed []string
	for _, name := range slices.Sorted(maps.Keys(sub.gone)) {
		if _, ok := sub.held[name]; ok && s.view.Get(t, name) == nil {
			removed = append(removed, name)
		}
	}
	clear(sub.gone)
	return removed
}

func (s *Session) send(sub *subscription, next *Response, now time.Time) *Response {
	if len(next.Entries) == 0 && len(next.Removed) == 0 && !sub.greet {
		return nil
	}
	sub.greet = false
	for _, e := range next.Entries {
		if r := sub.refused[e.Name]; r != nil {
			r.again = false
		}
	}
	s.sequence++
	next.sequence, next.Nonce, next.sent = s.sequence, strconv.FormatUint(s.sequence, 10), now
	for _, e := range next.Entries {
		s.sendEndpointsAgain(e, next.sequence)
	}
	sub.out = next
	return next
}

// retryRefused marks refused versions that are due to be sent again.
func (s *Session) retryRefused(now time.Time) {
	if s.retry.IsZero() || now.Before(s.retry) {
		return
	}
	s.retry = time.Time{}
	for t := range s.types {
		sub := &s.types[t]
		for _, name := range slices.Sorted(maps.Keys(sub.refused)) {
			r := sub.refused[name]
			switch {
			case r.due.IsZero():
			case now.Before(r.due):
				s.retry = earlier(r.due, s.retry)
			default:
				r.due, r.again = time.Time{}, true
				sub.groups = append(sub.groups, []string{name})
			}
		}
	}
}

// earlier returns the earlier of two times. The zero time means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"fmt"
	"maps"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// TooManyNamesError reports that a client subscribes to more names than allowed.
type TooManyNamesError struct {
	Type resource.Type
	Max  int
}

// Error implements error.
func (e *TooManyNamesError) Error() string {
	return fmt.Sprintf("the client names more than %d resources of type %s", e.Max, e.Type)
}

// Request handles a request of the client. answers reports whether it responds to the
// outstanding response of its type, and so was expected. After an error, the stream must
// be closed.
func (s *Session) Request(r *discoveryv3.DeltaDiscoveryRequest, now time.Time) (answers bool, err error) {
	t, ok := resource.TypeOf(r.GetTypeUrl())
	if !ok {
		// A client may request types that are not delivered; it gets none.
		return false, nil
	}
	sub := &s.types[t]
	if out := sub.out; out != nil && r.GetResponseNonce() == out.Nonce {
		answers = true
		sub.out = nil
		if r.GetErrorDetail() != nil {
			s.refuse(sub, out, r.GetErrorDetail().GetMessage(), now)
		} else {
			s.acknowledge(sub, out, now)
		}
	}
	if len(sub.names)+len(sub.held)+len(r.GetResourceNamesSubscribe())+len(r.GetInitialResourceVersions()) > 2*s.options.MaxNames {
		return answers, &TooManyNamesError{Type: t, Max: s.options.MaxNames}
	}
	if !sub.requested {
		s.first(t, r)
	} else {
		for _, name := range r.GetResourceNamesSubscribe() {
			s.subscribe(t, name)
		}
	}
	for _, name := range r.GetResourceNamesUnsubscribe() {
		sub.unsubscribe(name)
		if t == resource.Endpoint {
			delete(s.again, name)
		}
	}
	if len(sub.names) > s.options.MaxNames || len(sub.held) > s.options.MaxNames {
		return answers, &TooManyNamesError{Type: t, Max: s.options.MaxNames}
	}
	return answers, nil
}

// first handles the first request of a type on a stream. Only that request may list what
// the client holds.
func (s *Session) first(t resource.Type, r *discoveryv3.DeltaDiscoveryRequest) {
	sub := &s.types[t]
	sub.requested = true
	sub.wildcard = t.Wildcard() && len(r.GetResourceNamesSubscribe()) == 0
	for _, name := range r.GetResourceNamesSubscribe() {
		if name == "*" {
			sub.wildcard = true
			continue
		}
		name, _ = s.intern(t, name)
		sub.names[name] = struct{}{}
		if _, ok := r.GetInitialResourceVersions()[name]; !ok {
			sub.held[name] = holding{version: unknownVersion}
		}
	}
	for name, version := range r.GetInitialResourceVersions() {
		if !sub.interested(name) {
			continue
		}
		name, e := s.intern(t, name)
		if e != nil && e.Version == version {
			version = e.Version
		}
		if _, ok := s.again[name]; ok && t == resource.Endpoint {
			// A cluster that needs them was sent before this request arrived.
			version = unknownVersion
		}
		sub.held[name] = holding{version: version}
	}
	sub.greet = sub.wildcard && len(sub.held) == 0
	s.refresh(t)
}

// subscribe handles a name that the client subscribes to. The client may have dropped the
// resource, so it is sent even if the client acknowledged it before.
func (s *Session) subscribe(t resource.Type, name string) {
	sub := &s.types[t]
	if name == "*" {
		sub.wildcard = true
		s.refresh(t)
		return
	}
	name, _ = s.intern(t, name)
	sub.names[name] = struct{}{}
	sub.held[name] = holding{version: unknownVersion}
	if s.view.Ready() {
		s.Changed(resource.Key{Type: t, Name: name})
	}
}

func (s *subscription) unsubscribe(name string) {
	if name != "*" {
		delete(s.names, name)
		if !s.wildcard {
			s.forget(name)
		}
		return
	}
	s.wildcard = false
	retain(s.held, s.interested)
	retain(s.dirty, s.interested)
	retain(s.gone, s.interested)
	retain(s.refused, s.interested)
}

// retain deletes the names for which keep returns false.
func retain[V any](m map[string]V, keep func(string) bool) {
	maps.DeleteFunc(m, func(name string, _ V) bool { return !keep(name) })
}

// intern returns the configuration's own copy of a name, so thousands of streams share
// it.
func (s *Session) intern(t resource.Type, name string) (string, *Entry) {
	if e := s.view.Get(t, name); e != nil {
		return e.Name, e
	}
	return name, nil
}

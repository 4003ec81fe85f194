// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"maps"
	"slices"
	"strings"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// tracker tracks what an Envoy subscribes to, has accepted and has not responded to, on
// one stream of that Envoy. With it, the source of the Envoy's resources can be replaced
// without Envoy noticing.
type tracker struct {
	types [resource.TypeCount]tracked
}

type tracked struct {
	requested bool
	wildcard  bool
	names     map[string]struct{}
	// accepted holds the versions that Envoy accepted.
	accepted map[string]string
	// pending holds the responses that Envoy has not acknowledged, by the nonce that was
	// sent.
	pending map[string]*discoveryv3.DeltaDiscoveryResponse
	// answered is set once Envoy accepted a response of the type, on this stream or on an
	// earlier one.
	answered bool
}

// verdict is Envoy's reaction to a response.
type verdict struct {
	nonce    string
	response *discoveryv3.DeltaDiscoveryResponse
	// refused is set if Envoy refused it.
	refused bool
}

func newTracker() *tracker {
	t := &tracker{}
	for i := range t.types {
		t.types[i] = tracked{
			names: map[string]struct{}{}, accepted: map[string]string{}, pending: map[string]*discoveryv3.DeltaDiscoveryResponse{},
		}
	}
	return t
}

// request handles a request of Envoy. It returns Envoy's reaction to a response, or nil,
// and the names that Envoy no longer subscribes to.
func (t *tracker) request(typ resource.Type, r *discoveryv3.DeltaDiscoveryRequest) (v *verdict, dropped []string) {
	s := &t.types[typ]
	if response := s.pending[r.ResponseNonce]; response != nil {
		delete(s.pending, r.ResponseNonce)
		v = &verdict{nonce: r.ResponseNonce, response: response, refused: r.ErrorDetail != nil}
		if !v.refused {
			s.answered = true
			for _, got := range response.Resources {
				s.accepted[got.Name] = got.Version
			}
			for _, name := range response.RemovedResources {
				delete(s.accepted, name)
			}
		}
	}
	if !s.requested {
		s.requested = true
		s.wildcard = typ.Wildcard() && len(r.ResourceNamesSubscribe) == 0
		maps.Copy(s.accepted, r.InitialResourceVersions)
		// An Envoy that reopens its stream has accepted these before, and is sent nothing
		// if nothing has changed.
		s.answered = s.answered || len(r.InitialResourceVersions) > 0
	}
	for _, name := range r.ResourceNamesSubscribe {
		if name == "*" {
			s.wildcard = true
			continue
		}
		if _, ok := r.InitialResourceVersions[name]; !ok {
			// Envoy requests it, so it does not have it, even if it accepted it before.
			delete(s.accepted, name)
		}
		s.names[name] = struct{}{}
	}
	for _, name := range r.ResourceNamesUnsubscribe {
		if name == "*" {
			s.wildcard = false
			continue
		}
		delete(s.names, name)
		if !s.wildcard {
			delete(s.accepted, name)
			dropped = append(dropped, name)
		}
	}
	return v, dropped
}

// sent records that a response was sent to Envoy.
func (t *tracker) sent(typ resource.Type, r *discoveryv3.DeltaDiscoveryResponse) {
	t.types[typ].pending[r.Nonce] = r
}

// unanswered reports whether Envoy has yet to respond.
func (t *tracker) unanswered() bool {
	for i := range t.types {
		if len(t.types[i].pending) > 0 {
			return true
		}
	}
	return false
}

// configured reports whether Envoy has accepted its clusters and listeners.
func (t *tracker) configured() bool {
	return t.types[resource.Cluster].answered && t.types[resource.Listener].answered
}

// fresh reports whether Envoy had nothing when it connected.
func (t *tracker) fresh() bool {
	for i := range t.types {
		if len(t.types[i].accepted) > 0 {
			return false
		}
	}
	return true
}

// introduction returns the first requests to a new source: Envoy's subscriptions and
// resources. Envoy itself would send the same if it connected there.
func (t *tracker) introduction() []*discoveryv3.DeltaDiscoveryRequest {
	var all []*discoveryv3.DeltaDiscoveryRequest
	for _, typ := range resource.Types() {
		if t.types[typ].requested {
			all = append(all, t.introduce(typ))
		}
	}
	return all
}

func (t *tracker) introduce(typ resource.Type) *discoveryv3.DeltaDiscoveryRequest {
	s := &t.types[typ]
	r := &discoveryv3.DeltaDiscoveryRequest{
		TypeUrl:                 typ.URL(),
		ResourceNamesSubscribe:  slices.Sorted(maps.Keys(s.names)),
		InitialResourceVersions: maps.Clone(s.accepted),
	}
	if s.wildcard && (len(s.names) > 0 || !typ.Wildcard()) {
		r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, "*")
	}
	return r
}

// record is the state of one resource, for people.
type record struct {
	version string
	at      time.Time
	// refusal is Envoy's error for the version.
	refusal string
}

// nonceOf returns a nonce that contains its source, so Envoy's response does not go to
// another one. splitNonce splits it.
func nonceOf(source, nonce string) string { return source + ":" + nonce }

func splitNonce(nonce string) (source, rest string) {
	source, rest, _ = strings.Cut(nonce, ":")
	return source, rest
}

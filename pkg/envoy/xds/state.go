// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"cmp"
	"slices"
	"time"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/version"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// State is the server's state of a proxy and of its connected pods.
type State struct {
	// Set is false until the proxy has a configuration.
	Set  bool
	Pods []PodState
}

// PodState is the state of one pod.
type PodState struct {
	Pod       string
	Connected time.Time
	// Version is the version that the pod's Envoy reports in its first request.
	Version version.Version
	// Current is true if the pod has acknowledged everything that has to be sent: it has
	// the configuration except what it refused.
	Current bool
	// Refused lists the refusals that still apply.
	Refused []delta.Refusal
}

// State returns the state of a proxy.
func (s *Server) State(id proxyidentity.Proxy) State {
	p := s.proxy(id)
	if p == nil {
		return State{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	state := State{Set: p.ready}
	for pod, stream := range p.streams {
		state.Pods = append(state.Pods, PodState{
			Pod: pod, Connected: stream.connected, Version: stream.version, Current: stream.session.Quiet(), Refused: stream.session.Refused(),
		})
	}
	slices.SortFunc(state.Pods, func(a, b PodState) int { return cmp.Compare(a.Pod, b.Pod) })
	return state
}

// ResourceState is one resource of a pod.
type ResourceState struct {
	// Resource is the latest resource, or nil if it was removed and the pod still has it.
	*resource.Resource
	Key resource.Key
	// Accepted is the version that the pod last acknowledged, or empty, and At is when;
	// At is zero if the pod already had it when it connected.
	Accepted string
	At       time.Time
}

// Resources returns all resources of a connected pod, sorted by key, and false if the pod
// is not connected.
func (s *Server) Resources(id proxyidentity.Identity) ([]ResourceState, bool) {
	p := s.proxy(id.Proxy)
	if p == nil {
		return nil, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	stream := p.streams[id.Pod]
	if stream == nil {
		return nil, false
	}
	var all []ResourceState
	seen := map[resource.Key]bool{}
	add := func(t resource.Type, name string) {
		k := resource.Key{Type: t, Name: name}
		if seen[k] {
			return
		}
		seen[k] = true
		state := ResourceState{Key: k}
		if e := stream.session.View().Get(t, name); e != nil {
			state.Resource = e.Resource
		}
		state.Accepted, state.At = stream.session.Held(k)
		if state.Resource != nil || state.Accepted != "" {
			all = append(all, state)
		}
	}
	for _, t := range resource.Types() {
		stream.session.View().Each(t, func(name string) { add(t, name) })
		for _, name := range stream.session.HeldNames(t) {
			add(t, name)
		}
	}
	slices.SortFunc(all, func(a, b ResourceState) int {
		return cmp.Or(cmp.Compare(a.Key.Type, b.Key.Type), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	return all, true
}

// Accepted returns the version of one resource that each connected pod last acknowledged,
// by the pod's name. It is empty for a pod without the resource.
func (s *Server) Accepted(id proxyidentity.Proxy, k resource.Key) map[string]string {
	p := s.proxy(id)
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	versions := make(map[string]string, len(p.streams))
	for pod, stream := range p.streams {
		versions[pod], _ = stream.session.Held(k)
	}
	return versions
}

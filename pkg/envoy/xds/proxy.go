// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// entries holds the resources of one type by name.
type entries map[string]*delta.Entry

// assignment is a ClusterLoadAssignment and its position in the sequence of calls.
type assignment struct {
	*delta.Entry
	sequence Mark
}

type assignments map[string]assignment

// proxy is the configuration of one proxy and the streams of its pods.
type proxy struct {
	id proxyidentity.Proxy
	// setting serializes calls of set, which compare configurations without mu.
	setting sync.Mutex

	// mu guards the following fields, and the sessions of all streams. It is only held
	// briefly.
	mu      sync.Mutex
	removed bool
	ready   bool
	// types holds all resources except endpoints. The maps are replaced, never modified.
	types [resource.TypeCount]entries
	// shared holds the endpoints for every pod, own those for single pods.
	shared   assignments
	own      map[string]assignments
	sequence Mark
	// streams holds the current streams by pod. open counts those that have not ended,
	// including earlier ones.
	streams map[string]*stream
	open    map[string]int
}

// maxOpen is the maximum number of open streams of a pod: the current one, and earlier
// ones that have not ended because the pod does not read.
const maxOpen = 4

func newProxy(id proxyidentity.Proxy) *proxy {
	return &proxy{id: id, shared: assignments{}, own: map[string]assignments{}, streams: map[string]*stream{}, open: map[string]int{}}
}

// set replaces the configuration. It returns false if the proxy was removed.
func (p *proxy) set(config Config, since Mark, now time.Time) bool {
	p.setting.Lock()
	defer p.setting.Unlock()
	// Only set replaces types, so they can be read without mu.
	next, changed := p.compare(&config, now)

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.removed {
		return false
	}
	first := !p.ready
	p.ready, p.types = true, next
	endpoints := p.replaceEndpoints(config, since, now)
	for _, s := range p.streams {
		if first {
			s.session.Refresh()
			s.signal()
			continue
		}
		for _, k := range changed {
			s.session.Changed(k)
		}
		for name := range endpoints {
			s.session.Changed(resource.Key{Type: resource.Endpoint, Name: name})
		}
		if len(changed) > 0 {
			s.session.Restructured()
		}
		if len(changed) > 0 || len(endpoints) > 0 {
			s.signal()
		}
	}
	return true
}

// compare returns the new resources other than endpoints, with the unchanged entries
// reused, and the keys of those that changed.
func (p *proxy) compare(config *Config, now time.Time) (next [resource.TypeCount]entries, changed []resource.Key) {
	for t := range next {
		next[t] = make(entries, len(p.types[t]))
	}
	for k, r := range config.Resources {
		if k.Type == resource.Endpoint {
			continue
		}
		before := p.types[k.Type][k.Name]
		switch withheld := config.Withheld[k]; {
		case before == nil || before.Version != r.Version || before.Withheld != withheld:
			entry := delta.NewEntry(r, now)
			entry.Withheld = withheld
			next[k.Type][k.Name] = entry
			changed = append(changed, k)
		case sameSources(before.Resource, r):
			next[k.Type][k.Name] = before
		default:
			entry := delta.NewEntry(r, before.Set)
			entry.Withheld = withheld
			next[k.Type][k.Name] = entry
		}
	}
	for t, old := range p.types {
		for name := range old {
			if next[t][name] == nil {
				changed = append(changed, resource.Key{Type: resource.Type(t), Name: name})
			}
		}
	}
	return next, changed
}

// replaceEndpoints replaces the endpoints, except those that were set after the mark, and
// returns the names of those that changed. The caller holds mu.
func (p *proxy) replaceEndpoints(config Config, since Mark, now time.Time) map[string]struct{} {
	changed := map[string]struct{}{}
	shared := p.shared.replace(maps.Values(config.Resources), since, now, changed)
	own := make(map[string]assignments, len(config.Endpoints))
	for pod, list := range config.Endpoints {
		own[pod] = p.own[pod].replace(slices.Values(list), since, now, changed)
	}
	for pod, old := range p.own {
		if _, ok := own[pod]; ok {
			continue
		}
		if newer := old.replace(slices.Values[[]*resource.Resource](nil), since, now, changed); len(newer) > 0 {
			own[pod] = newer
		}
	}
	p.shared, p.own = shared, own
	return changed
}

// replace returns the assignments among the resources and those that were set after the
// mark. It records the names of those that changed.
func (a assignments) replace(with iter.Seq[*resource.Resource], since Mark, now time.Time, changed map[string]struct{}) assignments {
	next := assignments{}
	for r := range with {
		if r.Type == resource.Endpoint {
			next.put(a, r, since, now, changed)
		}
	}
	for name, old := range a {
		if _, ok := next[name]; ok {
			continue
		}
		if old.sequence > since {
			next[name] = old
		} else {
			changed[name] = struct{}{}
		}
	}
	return next
}

// put adds an assignment of a new configuration, or keeps the old one if that is equal or
// was set after the mark.
func (a assignments) put(old assignments, r *resource.Resource, since Mark, now time.Time, changed map[string]struct{}) {
	before, ok := old[r.Name]
	switch {
	case ok && before.sequence > since:
		a[r.Name] = before
	case ok && before.Version == r.Version:
		entry := before.Entry
		if !sameSources(entry.Resource, r) {
			entry = delta.NewEntry(r, before.Set)
		}
		a[r.Name] = assignment{Entry: entry}
	default:
		a[r.Name] = assignment{Entry: delta.NewEntry(r, now)}
		changed[r.Name] = struct{}{}
	}
}

// setEndpoints replaces one assignment. It returns false if the proxy was removed.
func (p *proxy) setEndpoints(pod string, r *resource.Resource, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.removed {
		return false
	}
	in := p.shared
	if pod != "" {
		if p.own[pod] == nil {
			p.own[pod] = assignments{}
		}
		in = p.own[pod]
	}
	p.sequence++
	before, ok := in[r.Name]
	if ok && before.Version == r.Version {
		before.sequence = p.sequence
		if !sameSources(before.Resource, r) {
			before.Entry = delta.NewEntry(r, before.Set)
		}
		in[r.Name] = before
		return true
	}
	in[r.Name] = assignment{Entry: delta.NewEntry(r, now), sequence: p.sequence}
	for name, s := range p.streams {
		if pod == "" || pod == name {
			s.session.Changed(resource.Key{Type: resource.Endpoint, Name: r.Name})
			s.signal()
		}
	}
	return true
}

var (
	errRemoved = status.Error(codes.Unavailable, "the proxy was removed")
	errTooMany = status.Error(codes.ResourceExhausted, "the pod has too many streams that it does not read")
)

// attach adds the stream of a pod and replaces an earlier one.
func (p *proxy) attach(s *stream) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.removed {
		return errRemoved
	}
	if p.open[s.id.Pod] >= maxOpen {
		return errTooMany
	}
	p.open[s.id.Pod]++
	if before := p.streams[s.id.Pod]; before != nil {
		before.close(status.Error(codes.Aborted, "the pod opened another stream"))
	}
	p.streams[s.id.Pod] = s
	return nil
}

// detach removes a stream, unless another one has replaced it. It reports whether the
// proxy has no state left.
func (p *proxy) detach(s *stream) (empty bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.leave()
	if p.streams[s.id.Pod] == s {
		delete(p.streams, s.id.Pod)
	}
	if p.open[s.id.Pod]--; p.open[s.id.Pod] == 0 {
		delete(p.open, s.id.Pod)
	}
	if len(p.open) == 0 && !p.ready && p.sequence == 0 {
		p.removed = true
		return true
	}
	return false
}

func (p *proxy) remove() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removed = true
	for _, s := range p.streams {
		s.close(status.Errorf(codes.NotFound, "%s was deleted", p.id))
	}
}

// view is the proxy's configuration for one pod. The caller of its methods holds mu.
type view struct {
	*proxy
	pod string
}

// Ready implements delta.View.
func (v view) Ready() bool { return v.ready }

// Get implements delta.View.
func (v view) Get(t resource.Type, name string) *delta.Entry {
	if t != resource.Endpoint {
		return v.types[t][name]
	}
	if own, ok := v.own[v.pod][name]; ok {
		return own.Entry
	}
	return v.shared[name].Entry
}

// Each implements delta.View.
func (v view) Each(t resource.Type, f func(string)) {
	if t != resource.Endpoint {
		for name := range v.types[t] {
			f(name)
		}
		return
	}
	for name := range v.shared {
		f(name)
	}
	for name := range v.own[v.pod] {
		if _, ok := v.shared[name]; !ok {
			f(name)
		}
	}
}

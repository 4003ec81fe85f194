// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"slices"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Config is the configuration of one proxy.
type Config struct {
	// Resources are the resources for every pod of the proxy.
	Resources resource.Set
	// Endpoints are ClusterLoadAssignments for single pods, by the pod's name. Each
	// replaces the one in Resources with the same name.
	Endpoints map[string][]*resource.Resource
	// Withheld lists resources, other than endpoints, that no pod gets in this version:
	// each pod keeps the version that it has.
	Withheld map[resource.Key]bool
}

// Mark is a point in the sequence of calls that set endpoints of one proxy.
type Mark uint64

// Mark returns the current point. Call it before reading the input of a configuration,
// and pass it to Set: endpoints that were set after it are newer than the configuration
// and are kept.
func (s *Server) Mark(id proxyidentity.Proxy) Mark {
	p := s.proxy(id)
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sequence
}

// Set replaces the configuration of a proxy and sends each pod the differences. It never
// waits for a pod.
func (s *Server) Set(id proxyidentity.Proxy, config Config, since Mark) {
	for {
		p := s.ensure(id)
		if p.set(config, since, s.options.now()) {
			return
		}
	}
}

// SetEndpoints replaces one ClusterLoadAssignment of a proxy, for one pod or, if pod is
// empty, for every pod that has none of its own. It changes nothing else and never waits.
// If it is called before the first Set of the proxy, it takes effect with that.
func (s *Server) SetEndpoints(id proxyidentity.Proxy, pod string, assignment *resource.Resource) {
	if assignment.Type != resource.Endpoint {
		return
	}
	for {
		p := s.ensure(id)
		if p.setEndpoints(pod, assignment, s.options.now()) {
			return
		}
	}
}

// Remove removes a proxy and closes the streams of its pods. The pods keep their
// configuration.
func (s *Server) Remove(id proxyidentity.Proxy) {
	s.mu.Lock()
	p := s.proxies[id]
	delete(s.proxies, id)
	s.mu.Unlock()
	if p != nil {
		p.remove()
	}
}

// sameSources reports whether two versions of a resource came from the same objects.
func sameSources(a, b *resource.Resource) bool { return slices.Equal(a.Sources, b.Sources) }

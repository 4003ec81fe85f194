// SPDX-License-Identifier: Apache-2.0

package xds

import (
	"slices"

	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// Config is the configuration of one proxy.
type Config struct {
	// Resources are what every pod of the proxy gets.
	Resources resource.Set
	// Endpoints are ClusterLoadAssignments for single pods, by the pod's name. Each
	// takes the place of the one in Resources that has its name.
	Endpoints map[string][]*resource.Resource
	// Withheld are resources, other than endpoints, that no pod is sent in this version:
	// each pod keeps the version that it has.
	Withheld map[resource.Key]bool
}

// Mark is a point in the sequence of calls that set endpoints of one proxy.
type Mark uint64

// Mark returns the current point. Take it before you read what a configuration is made
// of, and hand it to Set: endpoints that were set after it are newer than the
// configuration and stay.
func (s *Server) Mark(id proxyidentity.Proxy) Mark {
	p := s.proxy(id)
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sequence
}

// Set replaces the configuration of a proxy and sends each pod what differs. It never
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
// empty, for every pod that has none of its own. It touches nothing else and waits for
// nothing. Before the first Set of the proxy it has no effect until then.
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

// Remove forgets a proxy and closes the streams of its pods. The pods keep what they
// have.
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

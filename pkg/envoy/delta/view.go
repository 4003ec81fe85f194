// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Entry is a resource in a configuration. It is immutable.
type Entry struct {
	*resource.Resource
	// Set is the time at which this version was set.
	Set time.Time
	// Withheld keeps this version from every client. A client keeps the version that it
	// has, as if it had refused this one.
	Withheld bool
	// assignment is the name of the ClusterLoadAssignment that a cluster subscribes to,
	// or empty.
	assignment string
}

// NewEntry returns an entry for a resource that is set at the given time.
func NewEntry(r *resource.Resource, now time.Time) *Entry {
	return &Entry{Resource: r, Set: now, assignment: assignmentOf(r)}
}

// assignmentOf returns the name of the assignment that a cluster subscribes to, or "" for
// a cluster that can't be decoded, which Envoy refuses.
func assignmentOf(r *resource.Resource) string {
	if r.Type != resource.Cluster {
		return ""
	}
	var c clusterv3.Cluster
	if proto.Unmarshal(r.Body, &c) != nil || c.GetType() != clusterv3.Cluster_EDS {
		return ""
	}
	if name := c.GetEdsClusterConfig().GetServiceName(); name != "" {
		return name
	}
	return c.Name
}

// View is the configuration of one client. A Session only calls it from its own methods.
type View interface {
	// Ready reports whether the configuration is known. Until then, nothing is sent to
	// the client, so it keeps what it has.
	Ready() bool
	// Get returns a resource, or nil.
	Get(t resource.Type, name string) *Entry
	// Each calls f for each resource of a type.
	Each(t resource.Type, f func(name string))
}

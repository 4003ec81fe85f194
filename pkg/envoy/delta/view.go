// SPDX-License-Identifier: Apache-2.0

package delta

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Entry is a resource in a configuration. It is not changed after NewEntry.
type Entry struct {
	*resource.Resource
	// Set is when the resource was set in this version.
	Set time.Time
	// Withheld keeps this version from every client. A client keeps the version that it
	// has, as if it had refused this one.
	Withheld bool
	// assignment is the name of the ClusterLoadAssignment that a cluster subscribes
	// to, or empty.
	assignment string
}

// NewEntry makes an entry of a resource that is set now.
func NewEntry(r *resource.Resource, now time.Time) *Entry {
	return &Entry{Resource: r, Set: now, assignment: assignmentOf(r)}
}

// assignmentOf returns the name of the assignment that a cluster subscribes to. A
// cluster that can't be decoded has none; Envoy refuses it.
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

// View is the configuration of one client. A Session calls it from its own methods
// only.
type View interface {
	// Ready reports whether the configuration is known. Until then the client is sent
	// nothing, so it keeps what it has.
	Ready() bool
	// Get returns a resource, or nil.
	Get(t resource.Type, name string) *Entry
	// Each calls f for each resource of a type.
	Each(t resource.Type, f func(name string))
}

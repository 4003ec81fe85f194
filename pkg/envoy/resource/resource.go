// SPDX-License-Identifier: Apache-2.0

// Package resource defines the form in which Envoy configuration is passed inside EPIC:
// the translation and the templates produce it, and the xDS server delivers it. It does
// not depend on Kubernetes objects or streams.
package resource

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
)

// Type is one of the kinds of xDS resource that EPIC delivers.
type Type uint8

// The types, in the order in which a change must reach Envoy so that no resource refers
// to a missing one: a listener or route may name a cluster, a cluster its endpoints, and
// all of them a secret. Removals go in the reverse order.
const (
	Secret Type = iota
	Cluster
	Endpoint
	Listener
	Route
	typeCount
)

var urls = [typeCount]string{
	Secret:   "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
	Cluster:  "type.googleapis.com/envoy.config.cluster.v3.Cluster",
	Endpoint: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
	Listener: "type.googleapis.com/envoy.config.listener.v3.Listener",
	Route:    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
}

// TypeCount is the number of types.
const TypeCount = len(urls)

// ADS returns the configuration source of everything that EPIC delivers: the stream that
// delivers the reference to it.
func ADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}

// Types returns all types, in the order in which changes are sent.
func Types() []Type { return []Type{Secret, Cluster, Endpoint, Listener, Route} }

// URL returns the type URL that xDS uses.
func (t Type) URL() string {
	if t >= typeCount {
		return ""
	}
	return urls[t]
}

// Wildcard reports whether a client whose first request of the type names no resource
// gets all of them.
func (t Type) Wildcard() bool { return t == Cluster || t == Listener }

// TypeOf returns the type with the given URL, and false if EPIC does not deliver it.
func TypeOf(url string) (Type, bool) {
	for t, u := range urls {
		if u == url {
			return Type(t), true
		}
	}
	return 0, false
}

// String returns a short name for messages and metrics, such as "cluster".
func (t Type) String() string {
	switch t {
	case Secret:
		return "secret"
	case Cluster:
		return "cluster"
	case Endpoint:
		return "endpoint"
	case Listener:
		return "listener"
	case Route:
		return "route"
	}
	return fmt.Sprintf("type %d", uint8(t))
}

// Source identifies the API object from which a resource, or a part of it, was made, so a
// refusal by Envoy is reported on that object.
type Source struct {
	Kind, Namespace, Name string
	// UID distinguishes the object from a later one of the same name.
	UID string
}

// Resource is one resource of a proxy. It is immutable.
type Resource struct {
	Type Type
	// Name is unique among the proxy's resources of the type.
	Name string
	// Body is the message in deterministic wire format.
	Body []byte
	// Version is a hash of Body, so equal content has an equal version on every
	// server.
	Version string
	// Sources are the objects from which the resource was made, the one most likely at
	// fault for a refusal first.
	Sources []Source
}

// New returns a resource for a message.
func New(t Type, name string, message proto.Message, sources ...Source) (*Resource, error) {
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		return nil, fmt.Errorf("encode the %s %q: %w", t, name, err)
	}
	return Raw(t, name, body, sources...), nil
}

// Raw returns a resource for an encoded message.
func Raw(t Type, name string, body []byte, sources ...Source) *Resource {
	sum := sha256.Sum256(body)
	return &Resource{Type: t, Name: name, Body: body, Version: hex.EncodeToString(sum[:12]), Sources: sources}
}

// Key identifies a resource of a proxy.
type Key struct {
	Type Type
	Name string
}

// Key returns the resource's key.
func (r *Resource) Key() Key { return Key{r.Type, r.Name} }

// Set is the configuration of one proxy.
type Set map[Key]*Resource

// Add adds a resource. It returns an error if the set has a different one under the same
// key.
func (s Set) Add(r *Resource) error {
	if has, ok := s[r.Key()]; ok && has.Version != r.Version {
		return fmt.Errorf("two different resources are both the %s %q", r.Type, r.Name)
	}
	s[r.Key()] = r
	return nil
}

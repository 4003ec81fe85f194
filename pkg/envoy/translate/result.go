// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Result is the result of the translation of a proxy.
type Result struct {
	// Resources are the proxy's listeners, routes, clusters and secrets, without
	// endpoints.
	Resources resource.Set
	// Backends are the clusters in Resources that need endpoints, by name.
	// Backend.Assignment renders their ClusterLoadAssignments. A proxy waits for all of
	// them, so one without endpoints gets an empty assignment.
	Backends []Backend
	// Problems are the distinct problems of the objects, in order.
	Problems []Problem
	// Until is when Problems change without a change of an object, because a certificate
	// expires or becomes valid; zero means never.
	Until time.Time
	// Listeners is the status of each listener of a gateway, in its order.
	Listeners []ListenerStatus
	// Routes is the status of each route that names the gateway proxy as a parent.
	Routes []RouteStatus
	// memory is for later translations of the same gateway proxy.
	memory *memory
}

// Backend is a group of endpoints to which requests are sent: one of Envoy's clusters.
// Use Equal to compare.
type Backend struct {
	// Name is the name of the cluster and of its ClusterLoadAssignment.
	Name string
	// Members are the sources of the endpoints. There are several only for UDP, where
	// their weights become weights of endpoints, and none for a load balancer.
	Members []Member
	// Port is the published port of a load balancer to which the endpoints belong.
	Port PublishedPort
	// Cluster is the client cluster of a load balancer to which the endpoints belong; if
	// it is empty, they belong to all.
	Cluster string
	// Sources are the objects on which a refusal of the assignment is reported.
	Sources []resource.Source
}

// Member is one port of a tenant's Service.
type Member struct {
	// Service is the Service's UID.
	Service string
	// Port is the number of the Service's port, 0 if the route sets none.
	Port int32
	// Protocol is the number of the transport protocol: 6 for TCP, 17 for UDP.
	Protocol uint8
	// Weight is the weight relative to the other members. It has no meaning for a single
	// member.
	Weight int32
}

// PublishedPort is one published port of a load balancer.
type PublishedPort struct {
	Port uint16
	// Protocol is 6 for TCP, 17 for UDP.
	Protocol uint8
}

// Condition is a condition of a listener or of a route at a listener, as defined by the
// Gateway API.
type Condition struct {
	// Type is a type of condition, such as Accepted.
	Type string
	// Status is true if the condition is true.
	Status bool
	// Reason is a reason of the Gateway API, if it defines one for the case.
	Reason string
	// Message is a sentence for people, with the fix.
	Message string
}

// ListenerStatus is the status of a listener.
type ListenerStatus struct {
	Name string
	// SupportedKinds are the kinds of routes that may attach, such as HTTPRoute.
	SupportedKinds []gatewayv1.RouteGroupKind
	// AttachedRoutes is the number of attached routes.
	AttachedRoutes int32
	// Conditions are Accepted, ResolvedRefs, Conflicted and Programmed (here: part of the
	// configuration), and OverlappingTLSConfig if it is true.
	Conditions []Condition
}

// RouteStatus is the status of a route.
type RouteStatus struct {
	Route resource.Source
	// Kind is the field of the route's spec: http, grpc, tls, tcp or udp. A GWRoute may
	// have several.
	Kind string
	// Parents has an entry for each reference to this gateway proxy.
	Parents []ParentStatus
}

// ParentStatus is the status of a route for one of its references to a gateway proxy.
type ParentStatus struct {
	// Ref is the reference in the route.
	Ref gatewayv1.ParentReference
	// Conditions are Accepted and ResolvedRefs, and PartiallyInvalid if it is true.
	Conditions []Condition
}

// Problem is a problem of an object.
type Problem struct {
	// Object is the object that has to be changed.
	Object resource.Source
	// Field is the path in the object, such as "spec.http.rules[0].backendRefs[1]"; empty
	// if it concerns the whole object.
	Field string
	// Reason is a machine-readable word.
	Reason string
	// Message describes the problem, its effect, and the fix.
	Message string
}

// String returns the problem as a sentence for people.
func (p Problem) String() string {
	s := p.Object.Kind + " " + p.Object.Namespace + "/" + p.Object.Name
	if p.Field != "" {
		s += ": " + p.Field
	}
	return s + ": " + p.Message
}

// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"time"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// Result is a translated proxy.
type Result struct {
	// Resources are the proxy's listeners, routes, clusters and secrets. There are no
	// endpoints among them.
	Resources resource.Set
	// Backends are what needs endpoints, by name. Each is a cluster in Resources, whose
	// ClusterLoadAssignment Backend.Assignment renders. A proxy waits for all of them, so
	// one without endpoints gets an empty assignment.
	Backends []Backend
	// Problems are what is wrong with the objects, ordered and each once.
	Problems []Problem
	// Until is when Problems change though no object does, because a certificate expires or
	// becomes valid; never if it is zero.
	Until time.Time
	// Listeners describe what happened to each listener of a gateway, in its order.
	Listeners []ListenerStatus
	// Routes describe what happened to each route that names the gateway proxy as a parent.
	Routes []RouteStatus
	// memory is for later translations of the same gateway proxy.
	memory *memory
}

// Backend is a group of endpoints that requests are sent to: a cluster of Envoy's. It is
// comparable by Equal.
type Backend struct {
	// Name is the name of the cluster and of its ClusterLoadAssignment.
	Name string
	// Members are where the endpoints come from. There are several only for UDP, whose
	// weights become weights of endpoints, and none for a load balancer.
	Members []Member
	// Port is the published port of a load balancer to which the endpoints belong.
	Port PublishedPort
	// Cluster is the client cluster of a load balancer to which the endpoints belong;
	// those of all if it is empty.
	Cluster string
	// Sources are the objects that a refusal of the assignment is reported on.
	Sources []resource.Source
}

// Member is one port of a tenant's Service.
type Member struct {
	// Service is the Service's UID.
	Service string
	// Port is the number of the Service's port, 0 if the route gives none.
	Port int32
	// Protocol is the number of the transport protocol: 6 for TCP, 17 for UDP.
	Protocol uint8
	// Weight is the share of requests next to the other members. It has no meaning for
	// the only member.
	Weight int32
}

// PublishedPort is one published port of a load balancer.
type PublishedPort struct {
	Port uint16
	// Protocol is 6 for TCP, 17 for UDP.
	Protocol uint8
}

// Condition is one thing that can be said of a listener or of a route at a listener, in
// the words of the Gateway API.
type Condition struct {
	// Type is a type of condition, such as Accepted.
	Type string
	// Status is whether it holds.
	Status bool
	// Reason is one word, of the Gateway API where it has one for the case.
	Reason string
	// Message is a sentence for people, with the way out.
	Message string
}

// ListenerStatus is what happened to a listener.
type ListenerStatus struct {
	Name string
	// SupportedKinds are the kinds of routes that may attach, such as HTTPRoute.
	SupportedKinds []gatewayv1.RouteGroupKind
	// AttachedRoutes is how many routes are attached.
	AttachedRoutes int32
	// Conditions are Accepted, ResolvedRefs, Conflicted and Programmed (which here
	// means: is in the configuration), and OverlappingTLSConfig if it holds.
	Conditions []Condition
}

// RouteStatus is what happened to a route.
type RouteStatus struct {
	Route resource.Source
	// Kind is the field of the route's spec: http, grpc, tls, tcp or udp. A GWRoute may
	// have several.
	Kind string
	// Parents has an entry for each reference to this gateway proxy.
	Parents []ParentStatus
}

// ParentStatus is what happened to a route at one of its references to a gateway proxy.
type ParentStatus struct {
	// Ref is the reference as the route has it.
	Ref gatewayv1.ParentReference
	// Conditions are Accepted and ResolvedRefs, and PartiallyInvalid if it holds.
	Conditions []Condition
}

// Problem is one thing that is wrong with an object.
type Problem struct {
	// Object is the object that has to be changed.
	Object resource.Source
	// Field is where in the object, such as "spec.http.rules[0].backendRefs[1]"; empty
	// if it is about the whole.
	Field string
	// Reason is one word for programs.
	Reason string
	// Message describes what is wrong, what it leads to, and the way out.
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

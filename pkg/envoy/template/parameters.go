// SPDX-License-Identifier: Apache-2.0

package template

import (
	corev1 "k8s.io/api/core/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// ClusterParameters are the parameters of a cluster's template.
type ClusterParameters struct {
	// ClusterName is the name that the cluster must have.
	ClusterName string
	// Endpoints are the endpoints of the cluster, for a load balancer only.
	Endpoints []Endpoint
	// ServiceNamespace and ServiceName identify the proxy, PureLBServiceName is its
	// display name.
	ServiceNamespace, ServiceName, PureLBServiceName string
}

// ListenerParameters are the parameters of a listener's template.
type ListenerParameters struct {
	// Clusters are the clusters of a load balancer's port. Each gets ClusterWeight of
	// TotalWeight.
	Clusters                   []string
	TotalWeight, ClusterWeight int
	// PortName is PROTOCOL-PORT, such as HTTP-80.
	PortName string
	Port     int32
	// Protocol is TCP or UDP.
	Protocol corev1.Protocol
	// ServiceNamespace and ServiceName identify the proxy, PureLBServiceName is its
	// display name.
	ServiceNamespace, ServiceName, PureLBServiceName string
	// Routes are the routes of a gateway, one for each hostname, with one match in each
	// rule, in the order in which they have to be tried.
	Routes []Route
}

// EndpointParameters are the parameters of the template of a cluster load assignment.
type EndpointParameters struct {
	ClusterName, ServiceName string
	Endpoints                []Endpoint
}

// Route is a route as templates see it.
type Route struct{ Spec RouteSpec }

// RouteSpec has either field set.
type RouteSpec struct {
	HTTP *gatewayv1.HTTPRouteSpec
	TCP  *gatewayv1.TCPRouteSpec
}

// Endpoint is an endpoint as templates see it.
type Endpoint struct{ Spec EndpointSpec }

// EndpointSpec describes an endpoint.
type EndpointSpec struct {
	Cluster, Address, NodeAddress string
	Port                          epicv1.EndpointPort
}

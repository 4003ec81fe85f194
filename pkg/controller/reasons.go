// SPDX-License-Identifier: Apache-2.0

package controller

// Conditions that the controller sets. It keeps others.
const (
	// ConditionReady, on all kinds, reports whether the object fulfills its purpose.
	ConditionReady = "Ready"

	// ConditionTunnelsReady, on load balancers and gateway proxies, reports whether every
	// needed tunnel has its ID.
	ConditionTunnelsReady = "TunnelsReady"
	// ConditionProgrammed, on load balancers and gateway proxies, reports whether Envoys
	// have the newest configuration. The operator sets it; Ready depends on it.
	ConditionProgrammed = "Programmed"
	// ConditionTunnelsUp, on load balancers, gateway proxies, routes and slices, reports
	// whether the far ends of the tunnels respond. It is only set if a gateway node has
	// reported on a tunnel. The condition Ready is false only if no endpoint can be
	// reached.
	ConditionTunnelsUp = "TunnelsUp"
	// ConditionEndpointsResolved, on load balancers and gateway proxies, reports whether
	// every reference to an endpoint can be resolved. Its reasons are those of package
	// endpoints, and those below.
	ConditionEndpointsResolved = "EndpointsResolved"

	// ConditionListenersUsable, on gateway proxies that have, or had, a listener that is
	// not served, reports whether all are served. Other listeners are skipped; the
	// condition Ready is false only if none is left.
	ConditionListenersUsable = "ListenersUsable"
	// ConditionPortsUsable, on slices that have, or had, a port that proxies can't serve,
	// reports whether they can serve all. Other ports are skipped; the condition Ready is
	// false only if none is left.
	ConditionPortsUsable = "PortsUsable"

	// ConditionNodesReady, on the EPIC object, reports whether all gateway nodes send
	// heartbeats and are ready.
	ConditionNodesReady = "NodesReady"
	// ConditionAddressesAvailable, on the EPIC object, service prefixes and service
	// groups, reports whether proxies can get public addresses.
	ConditionAddressesAvailable = "AddressesAvailable"

	// ConditionQuotaAvailable, on accounts, reports whether they may have more proxies.
	ConditionQuotaAvailable = "QuotaAvailable"
	// ConditionGroupsAvailable, on accounts, reports whether a service group exists that
	// they may use.
	ConditionGroupsAvailable = "GroupsAvailable"

	// ConditionAccepted, on remote endpoints and routes, reports whether their load
	// balancer or gateway proxies accept them.
	ConditionAccepted = "Accepted"
	// ConditionTunnelReady, on remote endpoints, reports whether a tunnel leads to the
	// endpoint's node and is not down.
	ConditionTunnelReady = "TunnelReady"
	// ConditionResolvedRefs, on routes, reports whether each backend leads to slices.
	ConditionResolvedRefs = "ResolvedRefs"
	// ConditionInUse, on slices, reports whether a route leads to their Service.
	ConditionInUse = "InUse"
	// ConditionNodesKnown, on slices, reports whether the addresses of endpoints and of
	// their nodes are known.
	ConditionNodesKnown = "NodesKnown"
)

// Reasons of the conditions, in addition to those of package endpoints.
const (
	// ReasonReady is used with Ready when it is true.
	ReasonReady = "Ready"

	// ReasonAssigned is used with TunnelsReady and TunnelReady when they are true.
	ReasonAssigned = "Assigned"
	// ReasonNotNeeded is used with TunnelsReady and TunnelReady when they are true
	// because the load balancer does not use tunnels.
	ReasonNotNeeded = "NotNeeded"
	// ReasonUp is used with TunnelsUp and TunnelReady when they are true.
	ReasonUp = "Up"
	// ReasonSomeTunnelsDown means that the far ends of some tunnels do not respond.
	ReasonSomeTunnelsDown = "SomeTunnelsDown"
	// ReasonAllTunnelsDown means that the far end of no tunnel that leads to an endpoint
	// responds.
	ReasonAllTunnelsDown = "AllTunnelsDown"
	// ReasonNotReported is used with TunnelsUp when it is unknown because the gateway
	// nodes that reported are stale.
	ReasonNotReported = "NotReported"
	// ReasonNoEndpoints means that no endpoint is ready.
	ReasonNoEndpoints = "NoEndpoints"
	// ReasonNoNodes means that no endpoint is on a node whose address is known; on the
	// EPIC object, that no gateway node has ever reported.
	ReasonNoNodes = "NoNodes"
	// ReasonNoProxies means that no proxy runs on a gateway node yet.
	ReasonNoProxies = "NoProxies"
	// ReasonNoPorts is used with Ready on load balancers and gateway proxies that publish
	// no port.
	ReasonNoPorts = "NoPorts"
	// ReasonTooManyTunnels means that more tunnels are needed than one object may have.
	ReasonTooManyTunnels = "TooManyTunnels"
	// ReasonResolved is used with EndpointsResolved and ResolvedRefs when they are true.
	ReasonResolved = "Resolved"

	// ReasonUsable is used with ListenersUsable and PortsUsable when they are true.
	ReasonUsable = "Usable"

	// ReasonAllReady is used with NodesReady when it is true.
	ReasonAllReady = "AllReady"
	// ReasonNodesSilent means that gateway nodes send no heartbeats.
	ReasonNodesSilent = "NodesSilent"
	// ReasonNodesNotReady means that gateway nodes report that they are not ready.
	ReasonNodesNotReady = "NodesNotReady"

	// ReasonAvailable is used with AddressesAvailable, QuotaAvailable and GroupsAvailable
	// when they are true.
	ReasonAvailable = "Available"
	// ReasonNearlyExhausted is used with AddressesAvailable of a prefix when it is true
	// but few addresses of a pool are left.
	ReasonNearlyExhausted = "NearlyExhausted"
	// ReasonExhausted means that no address of a pool is left.
	ReasonExhausted = "Exhausted"
	// ReasonNoPool means that a prefix has no pool of public addresses.
	ReasonNoPool = "NoPool"
	// ReasonNoPrefix means that no prefix exists, or not the one that is named.
	ReasonNoPrefix = "NoPrefix"
	// ReasonQuotaExhausted means that an account has reached its limit of proxies.
	ReasonQuotaExhausted = "QuotaExhausted"
	// ReasonQuotaNearlyExhausted is used with QuotaAvailable when it is true but the
	// account may have few more proxies.
	ReasonQuotaNearlyExhausted = "QuotaNearlyExhausted"
	// ReasonNoGroup means that no service group exists that an account may use.
	ReasonNoGroup = "NoGroup"

	// ReasonAccepted is used with Accepted when it is true.
	ReasonAccepted = "Accepted"
	// ReasonNoLoadBalancer means that the load balancer of an endpoint does not exist.
	ReasonNoLoadBalancer = "NoLoadBalancer"
	// ReasonTunnelPending means that the load balancer has no tunnel to the endpoint's
	// node yet.
	ReasonTunnelPending = "TunnelPending"
	// ReasonNoParents means that a route names no gateway proxy.
	ReasonNoParents = "NoParents"
	// ReasonParentNotFound means that a gateway proxy that a route names does not exist.
	ReasonParentNotFound = "ParentNotFound"
	// ReasonReferenced is used with InUse when it is true.
	ReasonReferenced = "Referenced"
	// ReasonNotReferenced means that no route leads to the Service of a slice.
	ReasonNotReferenced = "NotReferenced"
	// ReasonNoService means that a slice does not name its Service.
	ReasonNoService = "NoService"
	// ReasonKnown is used with NodesKnown when it is true.
	ReasonKnown = "Known"
)

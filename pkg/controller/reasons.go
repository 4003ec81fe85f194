// SPDX-License-Identifier: Apache-2.0

package controller

// The conditions that the controller sets. It leaves others alone.
const (
	// ConditionReady is of all kinds: whether what the object is for is there.
	ConditionReady = "Ready"

	// ConditionTunnelsReady is of load balancers and gateway proxies: whether
	// every tunnel that is needed has its ID.
	ConditionTunnelsReady = "TunnelsReady"
	// ConditionProgrammed is of load balancers and gateway proxies: whether Envoys have
	// the newest configuration. The operator sets it; Ready depends on it.
	ConditionProgrammed = "Programmed"
	// ConditionTunnelsUp is of load balancers, gateway proxies, routes and slices on
	// whose tunnels gateway nodes report, or did: whether the far ends answer. The
	// condition Ready is false only if no endpoint can be reached.
	ConditionTunnelsUp = "TunnelsUp"
	// ConditionEndpointsResolved is of load balancers and gateway proxies:
	// whether everything that should lead to an endpoint does. Its reasons are
	// those of package endpoints, and those below.
	ConditionEndpointsResolved = "EndpointsResolved"

	// ConditionListenersUsable is of gateway proxies that have, or had, a listener
	// that is not served: whether all are. The others are skipped; the condition
	// Ready is false only if none is left.
	ConditionListenersUsable = "ListenersUsable"
	// ConditionPortsUsable is of slices that have, or had, a port that proxies can't
	// carry: whether they can carry all. The others are skipped; the condition Ready
	// is false only if none is left.
	ConditionPortsUsable = "PortsUsable"

	// ConditionNodesReady is of the EPIC object: whether all gateway nodes send heartbeats and do
	// their work.
	ConditionNodesReady = "NodesReady"
	// ConditionAddressesAvailable is of the EPIC object, service prefixes and
	// service groups: whether proxies can get public addresses.
	ConditionAddressesAvailable = "AddressesAvailable"

	// ConditionQuotaAvailable is of accounts: whether they may have more proxies.
	ConditionQuotaAvailable = "QuotaAvailable"
	// ConditionGroupsAvailable is of accounts: whether there is a service group
	// that they may use.
	ConditionGroupsAvailable = "GroupsAvailable"

	// ConditionAccepted is of remote endpoints and routes: whether a load
	// balancer or gateway proxies take it in.
	ConditionAccepted = "Accepted"
	// ConditionTunnelReady is of remote endpoints: whether a tunnel leads to its
	// node, and is not down.
	ConditionTunnelReady = "TunnelReady"
	// ConditionResolvedRefs is of routes: whether each backend leads to slices.
	ConditionResolvedRefs = "ResolvedRefs"
	// ConditionInUse is of slices: whether a route leads to their Service.
	ConditionInUse = "InUse"
	// ConditionNodesKnown is of slices: whether the addresses of endpoints and
	// of their nodes are known.
	ConditionNodesKnown = "NodesKnown"
)

// The reasons of the conditions, besides those of package endpoints.
const (
	// ReasonReady goes with Ready when it is true.
	ReasonReady = "Ready"

	// ReasonAssigned goes with TunnelsReady and TunnelReady when they are true.
	ReasonAssigned = "Assigned"
	// ReasonNotNeeded goes with TunnelsReady and TunnelReady, true, where the load
	// balancer wants no tunnels.
	ReasonNotNeeded = "NotNeeded"
	// ReasonUp goes with TunnelsUp and TunnelReady when they are true.
	ReasonUp = "Up"
	// ReasonSomeTunnelsDown is that the far ends of some tunnels do not answer.
	ReasonSomeTunnelsDown = "SomeTunnelsDown"
	// ReasonAllTunnelsDown is that no tunnel that leads to an endpoint has a far end
	// that answers.
	ReasonAllTunnelsDown = "AllTunnelsDown"
	// ReasonNotReported goes with TunnelsUp when it is unknown: the gateway nodes that
	// reported are silent.
	ReasonNotReported = "NotReported"
	// ReasonNoEndpoints is that no endpoint is ready.
	ReasonNoEndpoints = "NoEndpoints"
	// ReasonNoNodes is that no endpoint is on a node whose address is known, and
	// of the EPIC object that no gateway node was ever heard of.
	ReasonNoNodes = "NoNodes"
	// ReasonNoProxies is that no proxy runs on a gateway node yet.
	ReasonNoProxies = "NoProxies"
	// ReasonNoPorts goes with Ready of load balancers and gateway proxies that
	// publish no port.
	ReasonNoPorts = "NoPorts"
	// ReasonTooManyTunnels is that more tunnels are needed than one object may
	// have.
	ReasonTooManyTunnels = "TooManyTunnels"
	// ReasonResolved goes with EndpointsResolved and ResolvedRefs when they are
	// true.
	ReasonResolved = "Resolved"

	// ReasonUsable goes with ListenersUsable and PortsUsable when they are true.
	ReasonUsable = "Usable"

	// ReasonAllReady goes with NodesReady when it is true.
	ReasonAllReady = "AllReady"
	// ReasonNodesSilent is that gateway nodes send no heartbeats.
	ReasonNodesSilent = "NodesSilent"
	// ReasonNodesNotReady is that gateway nodes state that they are not ready.
	ReasonNodesNotReady = "NodesNotReady"

	// ReasonAvailable goes with AddressesAvailable, QuotaAvailable and
	// GroupsAvailable when they are true.
	ReasonAvailable = "Available"
	// ReasonNearlyExhausted goes with AddressesAvailable of a prefix, true, when
	// few addresses of a pool are left.
	ReasonNearlyExhausted = "NearlyExhausted"
	// ReasonExhausted is that no address of a pool is left.
	ReasonExhausted = "Exhausted"
	// ReasonNoPool is that a prefix has no pool of public addresses.
	ReasonNoPool = "NoPool"
	// ReasonNoPrefix is that there is no prefix, or not the one that is named.
	ReasonNoPrefix = "NoPrefix"
	// ReasonQuotaExhausted is that an account has as many proxies as it may.
	ReasonQuotaExhausted = "QuotaExhausted"
	// ReasonQuotaNearlyExhausted goes with QuotaAvailable, true, when an account may
	// have few more proxies.
	ReasonQuotaNearlyExhausted = "QuotaNearlyExhausted"
	// ReasonNoGroup is that there is no service group for an account.
	ReasonNoGroup = "NoGroup"

	// ReasonAccepted goes with Accepted when it is true.
	ReasonAccepted = "Accepted"
	// ReasonNoLoadBalancer is that the load balancer of an endpoint is not there.
	ReasonNoLoadBalancer = "NoLoadBalancer"
	// ReasonTunnelPending is that the load balancer has no tunnel to the
	// endpoint's node yet.
	ReasonTunnelPending = "TunnelPending"
	// ReasonNoParents is that a route names no gateway proxy.
	ReasonNoParents = "NoParents"
	// ReasonParentNotFound is that a gateway proxy that a route names is not
	// there.
	ReasonParentNotFound = "ParentNotFound"
	// ReasonReferenced goes with InUse when it is true.
	ReasonReferenced = "Referenced"
	// ReasonNotReferenced is that no route leads to the Service of a slice.
	ReasonNotReferenced = "NotReferenced"
	// ReasonNoService is that a slice says not to which Service it belongs.
	ReasonNoService = "NoService"
	// ReasonKnown goes with NodesKnown when it is true.
	ReasonKnown = "Known"
)

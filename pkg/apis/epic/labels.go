// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"math"
	"time"
)

// Names that the whole system agrees on.
const (
	// ProductName names the product in names that are made from it.
	ProductName = "epic"
	// ConfigNamespace is the namespace of the platform team's objects: the EPIC
	// object, the service prefixes, and the service groups that every account
	// may use.
	ConfigNamespace = "epic"
	// ConfigName is the name of the one EPIC object.
	ConfigName = "epic"
	// MetricsNamespace begins the name of every metric.
	MetricsNamespace = "epic"
	// AccountNamespacePrefix begins the name of every account's namespace; the
	// account's name follows.
	AccountNamespacePrefix = "epic-"
	// SystemNamespace is where the shipped manifests install the server and the
	// controller, and NodeNamespace where they install the nodes' programs. They
	// begin as accounts' namespaces do, so no account has their names.
	SystemNamespace = AccountNamespacePrefix + "system"
	NodeNamespace   = AccountNamespacePrefix + "node"
	// AltPoolSuffix follows a prefix's name in the name of its alternate pool.
	AltPoolSuffix = "-alt"
	// HeadlessServiceName is the name of the Service in each account's namespace
	// that gives the Envoy pods their DNS names.
	HeadlessServiceName = "epic"
	// CompatibilityGatewayClass is the gateway class of a proxy whose client
	// named none, and the name of the listener of one that named none.
	CompatibilityGatewayClass = "compatibility"
)

// Labels by which an object names those it belongs to.
const (
	// LabelPrefix begins every label, annotation and finalizer of EPIC.
	LabelPrefix = GroupName + "/"
	// OwningAccountLabel names an object's account.
	OwningAccountLabel = LabelPrefix + "owning-account"
	// OwningLBServiceGroupLabel names the service group of a load balancer or a
	// gateway proxy.
	OwningLBServiceGroupLabel = LabelPrefix + "owning-lbservicegroup"
	// OwningLBServiceGroupNamespaceLabel names the namespace in which that group
	// was found: the object's own, or ConfigNamespace. The server sets it.
	OwningLBServiceGroupNamespaceLabel = LabelPrefix + "owning-lbservicegroup-namespace"
	// OwningServicePrefixLabel names the prefix from which addresses come.
	OwningServicePrefixLabel = LabelPrefix + "owning-serviceprefix"
	// OwningLoadBalancerLabel names the load balancer of a remote endpoint or of
	// an Envoy pod.
	OwningLoadBalancerLabel = LabelPrefix + "owning-loadbalancer"
	// OwningProxyLabel names the gateway proxy of an Envoy pod, by LabelValue. Where
	// that is not the name, an annotation of this key has it.
	OwningProxyLabel = LabelPrefix + "owning-proxy"
	// OwningClusterLabel names the tenant's cluster that an object comes from.
	OwningClusterLabel = LabelPrefix + "owning-cluster"
)

// UnresolvedKind is the kind, in EPIC's group, of a backend reference of a GWRoute that the client
// cluster's connector could not resolve. The name of the reference is the reason.
const UnresolvedKind = "Unresolved"

// Labels of the objects around the API's own: namespaces and pods.
const (
	// PartOfLabel names the product that a namespace or a pod is part of.
	PartOfLabel = "app.kubernetes.io/part-of"
	// ComponentLabel names the part of the product.
	ComponentLabel = "app.kubernetes.io/component"
	// AccountNamespaceComponent is the component of an account's namespace.
	AccountNamespaceComponent = "user-namespace"
	// EnvoyComponent is the component of an Envoy pod.
	EnvoyComponent = "envoy-deployment"
	// MonitoringLabel, with the value "true", marks a namespace whose pods may read the
	// metrics of proxies.
	MonitoringLabel = LabelPrefix + "monitoring"
)

// Annotations and finalizers.
const (
	// IfIndexAnnotation on an Envoy pod is the index of the host's end of its
	// public interface.
	IfIndexAnnotation = LabelPrefix + "ifindex"
	// IfNameAnnotation on an Envoy pod is the name of that interface.
	IfNameAnnotation = LabelPrefix + "ifname"
	// NudgeLabel on a load balancer holds a random number that older programs
	// change to wake whoever watches.
	NudgeLabel = "nudge"
	// NudgeAnnotation does on gateway proxies and endpoint slices what
	// NudgeLabel does on load balancers.
	NudgeAnnotation = "nudge"
	// ReplacedAnnotation on an object that was created with values that it could
	// not have, such as an ID that another object has, holds those values by their
	// fields, in JSON. An update that sends them again changes nothing.
	ReplacedAnnotation = LabelPrefix + "replaced"
	// ControllerFinalizer keeps an object until the controller has cleaned up.
	ControllerFinalizer = LabelPrefix + "controller"
)

// Limits of the API.
const (
	// MinID is the lowest tunnel ID, service ID or group ID.
	MinID int32 = 1
	// MaxID is the highest tunnel ID, service ID or group ID.
	MaxID int32 = math.MaxInt32
	// MaxTunnelsPerObject is the maximum number of tunnels of a load balancer or
	// gateway proxy.
	MaxTunnelsPerObject = 1024
	// DefaultProxyLimit is the number of load balancers and gateway proxies that
	// an account may have if its spec sets no limit.
	DefaultProxyLimit int32 = 20
	// DefaultTunnelPort is the UDP port on which gateway nodes take in tunnels.
	DefaultTunnelPort int32 = 6080
	// NodeSilentAfter is how long a gateway node may stay without a heartbeat until it is
	// reported: it sends one about once a minute, and two may be lost.
	NodeSilentAfter = 3 * time.Minute
	// DefaultMultusBridge is the bridge of a pool that names none.
	DefaultMultusBridge = "multus0"
	// TracePort is the port of a collector of traces, unless edge settings name another:
	// the usual one of OTLP over gRPC.
	TracePort = 4317
	// MaxListenerConnections is the maximum number of client connections of an Envoy.
	MaxListenerConnections = 50_000
	// MaxBackendConnections is the maximum number of connections of an Envoy to a
	// backend. Envoy recommends fewer, but one pod is often a whole service.
	MaxBackendConnections = 65_536
	// MaxListeners is the maximum number of listeners of a gateway.
	MaxListeners = 64
	// MaxGatewayAddresses is the maximum number of addresses in a gateway's spec.
	MaxGatewayAddresses = 16
	// MaxParentRefs is the maximum number of parents of a route.
	MaxParentRefs = 32
	// MaxHostnames is the maximum number of hostnames of a route.
	MaxHostnames = 16
	// MaxRouteRules is the maximum number of rules of a route.
	MaxRouteRules = 16
	// MaxRuleMatches is the maximum number of matches of a rule, MaxRouteMatches
	// that of all rules of a route together; both are limits of Gateway API.
	MaxRuleMatches  = 64
	MaxRouteMatches = 128
	// MaxRegexpProgram is the size of the largest program that a regular
	// expression may compile to, as RE2 and Envoy count it, and
	// MaxRegexpPrograms that of all programs of one object together. Envoy's own
	// default is 100, which refuses [0-9a-z-]{36}; its bootstrap must set
	// re2.max_program_size.error_level so that it takes what is accepted here.
	MaxRegexpProgram  = 2000
	MaxRegexpPrograms = 20000
	// MaxRuleFilters is the maximum number of filters of a rule, or of one of its backends.
	MaxRuleFilters = 16
	// MaxRuleBackends is the maximum number of backends of a rule.
	MaxRuleBackends = 16
	// MaxBackendWeight is the highest weight of a backend.
	MaxBackendWeight int32 = 1000000
)

// AccountNamespace is the namespace of an account.
func AccountNamespace(account string) string {
	return AccountNamespacePrefix + account
}

// SPDX-License-Identifier: Apache-2.0

package overview

// fixes says, for each reason of a fault, what to do about it. The fixes are for tenants
// where tenants can do something, and else name the platform team.
var fixes = map[string]string{
	// Endpoints and their ports.
	"NoEndpoints":           "Start the pods of the Service in the client cluster, or publish endpoints: \"kubectl get rep,gwes\" in the account's namespace lists those there are.",
	"EndpointWithoutNode":   "Set the endpoint's node address: node-address of a RemoteEndpoint, or nodeAddresses of a GWEndpointSlice, which the connector fills in by the Node's internal IP address.",
	"AddressUnusable":       "Correct the address of the endpoint: it has to be the IP address of a pod or host.",
	"AddressOnSeveralNodes": "Delete the endpoint that is out of date: an address and port can be on one node only.",
	"PortUnusable":          "Correct the port: it has to be a number from 1 to 65535, TCP or UDP.",
	"ProtocolUnsupported":   "Use one of the protocols HTTP, HTTPS, TLS, TCP and UDP.",
	"PortAmbiguous":         "Name the port with the annotation epic.acnodal.io/service-ports of the GWEndpointSlice, as in \"80=http\".",
	"PortMissing":           "Give the Service in the client cluster a port with that number, or correct the port in the route.",
	"BackendWithoutSlices":  "Create the Service that the route names in the client cluster, with pods behind it.",
	"ClusterNotListed":      "Add the client cluster to spec.upstream-clusters of the load balancer, or delete its endpoints.",
	"NoEndpointForPort":     "Publish endpoints with the port that the load balancer's public port names.",
	"NotReferenced":         "Nothing is wrong if no route should lead to the Service. Otherwise correct the backend of the route.",
	"NoService":             "Set spec.parentRef.uid of the slice to the UID of its Service.",
	"NoLoadBalancer":        "Create the load balancer that the endpoint names, or delete the endpoint.",

	// Tunnels.
	"SomeTunnelsDown": "See whether the client nodes are up and run the node program, and whether UDP from them reaches the gateway nodes on port 6080: run \"epic-node status\" there.",
	"AllTunnelsDown":  "See whether the client nodes are up and run the node program, and whether UDP from them reaches the gateway nodes on port 6080: run \"epic-node status\" there.",
	"NotReported":     "Platform team: see why the gateway nodes are silent.",
	"NoNodes":         "Start the node program on a node: \"epic-node gateway\" for the gateway cluster, \"epic-node client\" where endpoints run.",
	"NoProxies":       "Wait until a proxy's pod runs on a gateway node. If it does not, see its pods and the condition Programmed.",
	"TooManyTunnels":  "Spread the endpoints over several load balancers or gateway proxies: one object can have 1,024 tunnels.",
	"TunnelPending":   "Wait until the controller has made the tunnel: the condition TunnelsReady of the load balancer says what is missing.",

	// Envoys and their configuration.
	"Pending":             "Wait until an Envoy is ready. If none becomes ready, see the proxy's pods and their events.",
	"EnvoysNotReady":      "See the pods that are not ready and their events: \"kubectl describe pods\" in the account's namespace.",
	"RejectedByProxy":     "Correct the field that the message names. Envoys keep the last version that they accepted.",
	"RejectedByValidator": "Correct the field that the message names. Envoys keep the last version that they accepted.",
	"NotEncodable":        "Correct the field that the message names.",
	"TemplateRefused":     "Correct the envoy-template as the message says. Envoys keep what they have until then.",
	"NotServedByTemplate": "Extend the envoy-template, or remove it: without one, EPIC's own translation serves all kinds of routes.",
	"NoListeners":         "Give the object a public port, or the Gateway a listener.",
	"NoImage":             "Platform team: set spec.envoy-image of the EPIC object or of the service group.",
	"ImageUnavailable":    "Platform team: correct spec.envoy-image of the EPIC object or of the service group, or make the registry reachable from the gateway nodes.",
	"TooFewNodes":         "Platform team: add gateway nodes, or lower envoy-replica-count. There is at most one Envoy of a proxy on a node.",
	"ProxyExits":          "See the log of the proxy's pod: \"kubectl logs\" in the account's namespace.",
	"NotStarted":          "See the events of the proxy's Deployment and pods: the message names what refuses them.",
	"RunnerFailed":        "See the operator's log: the message has the error.",
	"AddressMissing":      "Wait for an address, or see why the pool has none left.",
	"PortConflict":        "Change the port of one of the two listeners.",
	"OverrideNotAllowed":  "Remove the edge setting, or ask the platform team to allow it with edge-overrides of the service group.",
	"NoPorts":             "Give the object a public port: without one nothing is served on its address.",
	"OlderEnvoy":          "Platform team: set spec.envoy-image of the EPIC object or of the service group to the version of Envoy that the message names.",
	"NewerEnvoy":          "Platform team: set spec.envoy-image of the EPIC object or of the service group to the version of Envoy that the message names, or upgrade EPIC.",
	"HostnameInUse":       "Use another hostname, or let DNS lead to the address that should serve it.",

	// Routes and listeners.
	"RouteConflict":               "Change the match of one of the two routes, or delete one. The older one is served.",
	"NoWeight":                    "Give one backend of the rule a weight above 0.",
	"TooManyRoutes":               "Spread the routes over several Gateways.",
	"NoParents":                   "Name a Gateway in the route's parentRefs.",
	"ParentNotFound":              "Create the gateway proxy that the route names, or correct the route's parentRefs.",
	"CertificateExpired":          "Renew the certificate in the Secret that the listener names.",
	"CertificateNotYetValid":      "Wait until the certificate is valid, or replace it in the Secret that the listener names.",
	"CertificateHostnameMismatch": "Use a certificate for the listener's hostname.",

	// Addresses and quotas.
	"QuotaNearlyExhausted": "Delete load balancers or gateway proxies that are not needed, before the account has as many as it may. Platform team: \"epicctl create account NAME --proxy-limit N\" raises the limit.",
	"QuotaExhausted":       "Delete load balancers or gateway proxies that are not needed. Platform team: \"epicctl create account NAME --proxy-limit N\" raises the limit.",
	"NoGroup":              "Platform team: offer a service group with \"epicctl create group\".",
	"Exhausted":            "Platform team: make the pool larger, or make another ServicePrefix for new groups.",
	"NearlyExhausted":      "Platform team: make the pool larger before it is full, or make another ServicePrefix for new groups.",
	"NoPool":               "Platform team: give the ServicePrefix a public-pool.",
	"NoPrefix":             "Platform team: create the ServicePrefix that the group names with \"epicctl create prefix\".",

	// Gateway nodes.
	"NodesSilent":   "Platform team: see whether the nodes are up, and the logs of their node programs.",
	"NodesNotReady": "Platform team: run \"epic-node status\" on the nodes.",
	"SessionsDown":  "Platform team: compare the peer's address, AS number and password with the router's configuration.",

	reasonDeleting: "See why the program that owns the finalizer does not remove it: the controller, the operator or a client cluster's connector.",
}

// defaultFix is for reasons that are not known.
const defaultFix = "The message says what is missing; \"kubectl describe\" of the object shows its events."

// fixOf returns what to do about a reason.
func fixOf(reason string) string {
	if fix, ok := fixes[reason]; ok {
		return fix
	}
	return defaultFix
}

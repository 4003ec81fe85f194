// SPDX-License-Identifier: Apache-2.0

package overview

// fixes maps each reason of a fault to a fix. Fixes are for tenants if tenants can do
// something, and otherwise name the platform team.
var fixes = map[string]string{
	// Endpoints and their ports.
	"NoEndpoints":           "Start the pods of the Service in the client cluster, or publish endpoints: \"kubectl get rep,gwes\" in the account's namespace lists the endpoints.",
	"EndpointWithoutNode":   "Set the endpoint's node address: node-address of a RemoteEndpoint, or nodeAddresses of a GWEndpointSlice, which the connector fills in by the Node's internal IP address.",
	"AddressUnusable":       "Correct the address of the endpoint: it must be the IP address of a pod or host.",
	"AddressOnSeveralNodes": "Delete the outdated endpoint: an address and port can only be on one node.",
	"PortUnusable":          "Correct the port: it must be a number from 1 to 65535, TCP or UDP.",
	"ProtocolUnsupported":   "Use one of the protocols HTTP, HTTPS, TLS, TCP and UDP.",
	"PortAmbiguous":         "Name the port with the annotation epic.acnodal.io/service-ports of the GWEndpointSlice, as in \"80=http\".",
	"PortMissing":           "Give the Service in the client cluster a port with that number, or correct the port in the route.",
	"BackendWithoutSlices":  "Create the Service that the route names in the client cluster, with pods behind it.",
	"ClusterNotListed":      "Add the client cluster to spec.upstream-clusters of the load balancer, or delete its endpoints.",
	"NoEndpointForPort":     "Publish endpoints with the port of the load balancer's public port.",
	"NotReferenced":         "If no route should use the Service, nothing is wrong. Otherwise, correct the backend of the route.",
	"NoService":             "Set spec.parentRef.uid of the slice to the UID of its Service.",
	"NoLoadBalancer":        "Create the endpoint's load balancer, or delete the endpoint.",

	// Tunnels.
	"SomeTunnelsDown": "Check whether the client nodes are up and run the node program, and whether their UDP packets reach the gateway nodes on port 6080: run \"epic-node status\" there.",
	"AllTunnelsDown":  "Check whether the client nodes are up and run the node program, and whether their UDP packets reach the gateway nodes on port 6080: run \"epic-node status\" there.",
	"NotReported":     "Platform team: find out why the gateway nodes send no heartbeats.",
	"NoNodes":         "Start the node program on a node: \"epic-node gateway\" for the gateway cluster, \"epic-node client\" where endpoints run.",
	"NoProxies":       "Wait until a proxy's pod runs on a gateway node. If it does not, check its pods and the condition Programmed.",
	"TooManyTunnels":  "Divide the endpoints among several load balancers or gateway proxies: an object can have at most 1,024 tunnels.",
	"TunnelPending":   "Wait until the controller has created the tunnel: the condition TunnelsReady of the load balancer shows what is missing.",

	// Envoys and their configuration.
	"Pending":             "Wait until an Envoy is ready. If none becomes ready, check the proxy's pods and their events.",
	"EnvoysNotReady":      "Check the pods that are not ready and their events: \"kubectl describe pods\" in the account's namespace.",
	"RejectedByProxy":     "Correct the field that the message names. Envoys keep the last version that they accepted.",
	"RejectedByValidator": "Correct the field that the message names. Envoys keep the last version that they accepted.",
	"NotEncodable":        "Correct the field that the message names.",
	"TemplateRefused":     "Correct the envoy-template as described in the message. Until then, Envoys keep their configuration.",
	"NotServedByTemplate": "Extend the envoy-template, or remove it: without one, EPIC's own translation serves all kinds of routes.",
	"NoListeners":         "Add a public port to the object, or a listener to the Gateway.",
	"NoImage":             "Platform team: set spec.envoy-image of the EPIC object or of the service group.",
	"ImageUnavailable":    "Platform team: correct spec.envoy-image of the EPIC object or of the service group, or make the registry reachable from the gateway nodes.",
	"TooFewNodes":         "Platform team: add gateway nodes, or lower envoy-replica-count. There is at most one Envoy of a proxy on a node.",
	"ProxyExits":          "Check the log of the proxy's pod: \"kubectl logs\" in the account's namespace.",
	"NotStarted":          "Check the events of the proxy's Deployment and pods: the message shows what refuses them.",
	"RunnerFailed":        "Check the operator's log. The message contains the error.",
	"AddressMissing":      "Wait for an address, or find out why the pool has none left.",
	"PortConflict":        "Change the port of one of the two listeners.",
	"OverrideNotAllowed":  "Remove the edge setting, or ask the platform team to allow it with edge-overrides of the service group.",
	"NoPorts":             "Add a public port to the object. Without one, nothing is served on its address.",
	"OlderEnvoy":          "Platform team: set spec.envoy-image of the EPIC object or of the service group to the Envoy version in the message.",
	"NewerEnvoy":          "Platform team: set spec.envoy-image of the EPIC object or of the service group to the Envoy version in the message, or upgrade EPIC.",
	"HostnameInUse":       "Use another hostname, or let DNS point to the address that should serve it.",

	// Routes and listeners.
	"RouteConflict":               "Change the match of one of the two routes, or delete one. The older route is served.",
	"NoWeight":                    "Give one backend of the rule a weight above 0.",
	"TooManyRoutes":               "Divide the routes among several Gateways.",
	"NoParents":                   "Add a Gateway to the route's parentRefs.",
	"ParentNotFound":              "Create the route's gateway proxy, or correct the route's parentRefs.",
	"CertificateExpired":          "Renew the certificate in the listener's Secret.",
	"CertificateNotYetValid":      "Wait until the certificate is valid, or replace it in the listener's Secret.",
	"CertificateHostnameMismatch": "Use a certificate for the listener's hostname.",

	// Addresses and quotas.
	"QuotaNearlyExhausted": "Delete load balancers or gateway proxies that are not needed before the account reaches its limit. Platform team: \"epicctl create account NAME --proxy-limit N\" raises the limit.",
	"QuotaExhausted":       "Delete load balancers or gateway proxies that are not needed. Platform team: \"epicctl create account NAME --proxy-limit N\" raises the limit.",
	"NoGroup":              "Platform team: create a service group with \"epicctl create group\".",
	"Exhausted":            "Platform team: make the pool larger, or create another ServicePrefix for new groups.",
	"NearlyExhausted":      "Platform team: make the pool larger before it is full, or create another ServicePrefix for new groups.",
	"NoPool":               "Platform team: set public-pool of the ServicePrefix.",
	"NoPrefix":             "Platform team: create the group's ServicePrefix with \"epicctl create prefix\".",

	// Gateway nodes.
	"NodesSilent":   "Platform team: check whether the nodes are up, and check the logs of their node programs.",
	"NodesNotReady": "Platform team: run \"epic-node status\" on the nodes.",
	"SessionsDown":  "Platform team: compare the peer's address, AS number and password with the router's configuration.",

	reasonDeleting: "Find out why the program that owns the finalizer does not remove it: the controller, the operator or a client cluster's connector.",
}

// defaultFix is for unknown reasons.
const defaultFix = "The message shows what is missing; \"kubectl describe\" of the object shows its events."

// fixOf returns the fix for a reason.
func fixOf(reason string) string {
	if fix, ok := fixes[reason]; ok {
		return fix
	}
	return defaultFix
}

// SPDX-License-Identifier: Apache-2.0

package epic

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EPIC is the configuration of an EPIC installation. There is exactly one: the object epic
// in the namespace epic.
type EPIC struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// What the platform team sets for the installation.
	Spec EPICSpec

	// What the server and the controller report about the installation.
	Status EPICStatus
}

// EPICSpec is what the platform team configures for the installation.
type EPICSpec struct {
	// The image of a per-account endpoint server that this version does not
	// run.
	EDSImage string

	// The Envoy image of every proxy whose service group does not name
	// another.
	EnvoyImage string

	// The image of a per-account discovery server that this version does not
	// run.
	XDSImage string

	// The service addresses of the gateway cluster in CIDR form, several of
	// them separated by commas.
	ServiceCIDR string

	// Settings of the gateway nodes.
	Base EPICNodeBase

	// Addresses, in CIDR form, that proxies must not reach without a tunnel.
	DeniedEndpointCIDRs []string
}

// EPICNodeBase holds the settings that all gateway nodes share.
type EPICNodeBase struct {
	// The network interfaces of a gateway node that carry tunnel traffic.
	GUEIngressNICs []string

	// The tunnel endpoint from which new ones are made: a tunnel gets this
	// port unless it is given one of its own.
	GUEEndpoint GUETunnelEndpoint

	// How nodes announce public addresses by BGP.
	BGP *BGP

	// How nodes answer for public addresses on a network without BGP.
	Layer2 *Layer2
}

// EPICStatus is what the server and the controller report about the
// installation.
type EPICStatus struct {
	// The tunnel ID that was assigned most recently, from 1 to 2147483647.
	CurrentTunnelID int32

	// The group ID that was assigned most recently to an account, from 1 to
	// 2147483647.
	CurrentGroupID int32

	// The generation of the spec that this status describes.
	ObservedGeneration int64

	// Conditions that the controller sets on the installation, one for each type.
	Conditions []metav1.Condition

	// What gateway nodes of earlier releases report, by the node's address.
	// Others have a GatewayNode object each, and the controller removes their
	// entries here.
	Nodes map[string]EPICNodeStatus

	// How many gateway nodes there are, as the controller last counted them.
	GatewayNodes *int32
}

// EPICNodeStatus is the report of a gateway node of an earlier release.
type EPICNodeStatus struct {
	// The name of the node: that of its Node object, or the hostname.
	Name string

	// The version of the node's program.
	Version string

	// When the node wrote its entry last, by the server's clock. A node writes
	// its own time here; the server puts its own in place of any that is new.
	HeartbeatTime metav1.Time

	// Number of tunnels that end on the node.
	Tunnels int32

	// How many of those have a far end that answers.
	TunnelsUp int32

	// Conditions that the node sets, one for each type.
	Conditions []metav1.Condition
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// EPICList is a list of EPIC objects.
type EPICList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// The objects.
	Items []EPIC
}

// SPDX-License-Identifier: Apache-2.0

package v1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Defaults that are one constant stand as +default markers next to the fields.
// What is here depends on more than one field.
//
// A default never fills in a value that a client could have meant: a field
// whose zero means something is a pointer.

const (
	// defaultGUEPort is the port on which gateway nodes take in tunnels.
	defaultGUEPort = 6080
	// defaultGUEAppProtocol marks that port.
	defaultGUEAppProtocol = "gue"
	// defaultIngressNIC is the network interface of a gateway node.
	defaultIngressNIC = "enp1s0"
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_EPICNodeBase names the usual network interface.
func SetDefaults_EPICNodeBase(base *EPICNodeBase) {
	if len(base.GUEIngressNICs) == 0 {
		base.GUEIngressNICs = []string{defaultIngressNIC}
	}
}

// SetDefaults_GUETunnelEndpoint gives a tunnel the usual port.
func SetDefaults_GUETunnelEndpoint(endpoint *GUETunnelEndpoint) {
	setTunnelPort(&endpoint.EPICPort)
}

// SetDefaults_ProxyStatus gives the tunnels and the interfaces of a proxy the
// usual port. The generator does not reach into maps, so this does.
func SetDefaults_ProxyStatus(status *ProxyStatus) {
	for node, tunnel := range status.GUETunnelEndpoints {
		setTunnelPort(&tunnel.EPICPort)
		status.GUETunnelEndpoints[node] = tunnel
		for address, endpoint := range tunnel.EPICEndpoints {
			setTunnelPort(&endpoint.EPICPort)
			tunnel.EPICEndpoints[address] = endpoint
		}
	}
	for pod, info := range status.ProxyIfInfo {
		setTunnelPort(&info.EPICPort)
		status.ProxyIfInfo[pod] = info
	}
}

// SetDefaults_GWEndpointSliceSpec makes a port that names no protocol a TCP
// one, and supplies the lists and maps that the schema requires. Go clients send
// null for an empty one, which the schema does not allow.
func SetDefaults_GWEndpointSliceSpec(spec *GWEndpointSliceSpec) {
	if spec.NodeAddresses == nil {
		spec.NodeAddresses = map[string]string{}
	}
	setList(&spec.Endpoints)
	for i := range spec.Endpoints {
		setList(&spec.Endpoints[i].Addresses)
	}
	for i := range spec.Ports {
		setPointer(&spec.Ports[i].Protocol, corev1.ProtocolTCP)
	}
}

// SetDefaults_LBServiceGroupStatus supplies an empty map, which older programs
// write into without looking.
func SetDefaults_LBServiceGroupStatus(status *LBServiceGroupStatus) {
	if status.ProxySnapshotVersions == nil {
		status.ProxySnapshotVersions = map[string]int32{}
	}
}

// setTunnelPort fills in an absent tunnel port. A port that gives only its
// number is a UDP one, since GUE runs over nothing else; left to the general
// rule it would become TCP.
func setTunnelPort(port *EndpointPort) {
	if *port == (EndpointPort{}) {
		*port = EndpointPort{Port: defaultGUEPort, Protocol: corev1.ProtocolUDP, AppProtocol: defaultGUEAppProtocol}
	}
	if port.Protocol == "" {
		port.Protocol = corev1.ProtocolUDP
	}
}

// setList supplies an empty list in place of none.
func setList[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

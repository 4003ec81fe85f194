// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"k8s.io/apimachinery/pkg/conversion"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// Tunnels and interfaces live in the status. Programs that were published
// before they did look for them in the spec, so this version shows them there
// too. The internal types know only the status: whatever a client writes to the
// copies is dropped on the way in, which is what makes them read-only and keeps
// them out of metadata.generation.

// Convert_v1_LoadBalancerSpec_To_epic_LoadBalancerSpec drops the copies.
func Convert_v1_LoadBalancerSpec_To_epic_LoadBalancerSpec(in *LoadBalancerSpec, out *epic.LoadBalancerSpec, s conversion.Scope) error {
	return autoConvert_v1_LoadBalancerSpec_To_epic_LoadBalancerSpec(in, out, s)
}

// Convert_v1_GWProxySpec_To_epic_GWProxySpec drops the copies.
func Convert_v1_GWProxySpec_To_epic_GWProxySpec(in *GWProxySpec, out *epic.GWProxySpec, s conversion.Scope) error {
	return autoConvert_v1_GWProxySpec_To_epic_GWProxySpec(in, out, s)
}

// Convert_epic_LoadBalancer_To_v1_LoadBalancer fills the spec's copies from the
// status.
func Convert_epic_LoadBalancer_To_v1_LoadBalancer(in *epic.LoadBalancer, out *LoadBalancer, s conversion.Scope) error {
	if err := autoConvert_epic_LoadBalancer_To_v1_LoadBalancer(in, out, s); err != nil {
		return err
	}
	out.Spec.GUETunnelEndpoints = tunnelCopies(out.Status.GUETunnelEndpoints)
	out.Spec.ProxyIfInfo = out.Status.ProxyIfInfo
	return nil
}

// Convert_epic_GWProxy_To_v1_GWProxy fills the spec's copies from the status.
func Convert_epic_GWProxy_To_v1_GWProxy(in *epic.GWProxy, out *GWProxy, s conversion.Scope) error {
	if err := autoConvert_epic_GWProxy_To_v1_GWProxy(in, out, s); err != nil {
		return err
	}
	out.Spec.GUETunnelEndpoints = tunnelCopies(out.Status.GUETunnelEndpoints)
	out.Spec.ProxyIfInfo = out.Status.ProxyIfInfo
	return nil
}

// tunnelCopies is the status's tunnels in the layout of the spec. The maps
// inside are shared with the status, not copied: an object may have a thousand
// tunnels, and what a conversion returns is only read.
func tunnelCopies(tunnels map[string]TunnelEndpoint) map[string]EPICEndpointMap {
	if len(tunnels) == 0 {
		return nil
	}
	copies := make(map[string]EPICEndpointMap, len(tunnels))
	for node, tunnel := range tunnels {
		copies[node] = EPICEndpointMap{EPICEndpoints: tunnel.EPICEndpoints}
	}
	return copies
}

// StripCopies removes the read-only copies from the spec of a LoadBalancer or a
// GWProxy, so the tunnels are not stored twice. It leaves every other
// object, and the status, alone.
func StripCopies(obj runtime.Object) {
	switch obj := obj.(type) {
	case *LoadBalancer:
		obj.Spec.GUETunnelEndpoints, obj.Spec.ProxyIfInfo = nil, nil
	case *GWProxy:
		obj.Spec.GUETunnelEndpoints, obj.Spec.ProxyIfInfo = nil, nil
	}
}

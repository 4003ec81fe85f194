// SPDX-License-Identifier: Apache-2.0

package epic

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// The wrappers below have the layout of those in the versioned package, so
// converting them costs nothing.

// GatewaySpec is the spec of a Gateway, as the Gateway API defines it.
type GatewaySpec struct {
	gatewayv1.GatewaySpec
}

// HTTPRouteSpec is the spec of an HTTPRoute, as the Gateway API defines it.
type HTTPRouteSpec struct {
	gatewayv1.HTTPRouteSpec
}

// TCPRouteSpec is the spec of a TCPRoute, as the Gateway API defines it.
type TCPRouteSpec struct {
	gatewayv1.TCPRouteSpec
}

// GRPCRouteSpec is the spec of a GRPCRoute, as the Gateway API defines it.
type GRPCRouteSpec struct {
	gatewayv1.GRPCRouteSpec
}

// TLSRouteSpec is the spec of a TLSRoute, as the Gateway API defines it.
type TLSRouteSpec struct {
	gatewayv1.TLSRouteSpec
}

// UDPRouteSpec is the spec of a UDPRoute, as the Gateway API defines it.
type UDPRouteSpec struct {
	gatewayv1.UDPRouteSpec
}

// BackendTLSValidation is the validation of a BackendTLSPolicy, as the Gateway API
// defines it.
type BackendTLSValidation struct {
	gatewayv1.BackendTLSPolicyValidation
}

// DroppedMetadata is the metadata of a client's object, which EPIC does not use. It accepts
// any JSON object, discards it, and reads back as an empty object.
type DroppedMetadata struct{}

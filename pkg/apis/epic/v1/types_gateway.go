// SPDX-License-Identifier: Apache-2.0

package v1

import gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

// The types below each put a type of the Gateway API into ours. In JSON and in
// OpenAPI they are exactly that type, because its fields are inlined. The Gateway
// API has no protobuf form, so in protobuf each is one field that holds the
// JSON text; gateway_proto.go writes and reads it.

// GatewaySpec is the spec of a Gateway, as the Gateway API defines it.
// +protobuf.options.marshal=false
// +protobuf.as=JSONText
// +protobuf.options.(gogoproto.goproto_stringer)=false
type GatewaySpec struct {
	gatewayv1.GatewaySpec `json:",inline" protobuf:"-"`
}

// HTTPRouteSpec is the spec of an HTTPRoute, as the Gateway API defines it.
// +protobuf.options.marshal=false
// +protobuf.as=JSONText
// +protobuf.options.(gogoproto.goproto_stringer)=false
type HTTPRouteSpec struct {
	gatewayv1.HTTPRouteSpec `json:",inline" protobuf:"-"`
}

// TCPRouteSpec is the spec of a TCPRoute, as the Gateway API defines it.
// +protobuf.options.marshal=false
// +protobuf.as=JSONText
// +protobuf.options.(gogoproto.goproto_stringer)=false
type TCPRouteSpec struct {
	gatewayv1.TCPRouteSpec `json:",inline" protobuf:"-"`
}

// GRPCRouteSpec is the spec of a GRPCRoute, as the Gateway API defines it.
// +protobuf.options.marshal=false
// +protobuf.as=JSONText
// +protobuf.options.(gogoproto.goproto_stringer)=false
type GRPCRouteSpec struct {
	gatewayv1.GRPCRouteSpec `json:",inline" protobuf:"-"`
}

// TLSRouteSpec is the spec of a TLSRoute, as the Gateway API defines it.
// +protobuf.options.marshal=false
// +protobuf.as=JSONText
// +protobuf.options.(gogoproto.goproto_stringer)=false
type TLSRouteSpec struct {
	gatewayv1.TLSRouteSpec `json:",inline" protobuf:"-"`
}

// UDPRouteSpec is the spec of a UDPRoute, as the Gateway API defines it.
// +protobuf.options.marshal=false
// +protobuf.as=JSONText
// +protobuf.options.(gogoproto.goproto_stringer)=false
type UDPRouteSpec struct {
	gatewayv1.UDPRouteSpec `json:",inline" protobuf:"-"`
}

// BackendTLSValidation is the validation of a BackendTLSPolicy, as the Gateway API
// defines it.
// +protobuf.options.marshal=false
// +protobuf.as=JSONText
// +protobuf.options.(gogoproto.goproto_stringer)=false
type BackendTLSValidation struct {
	gatewayv1.BackendTLSPolicyValidation `json:",inline" protobuf:"-"`
}

// JSONText is the protobuf form of a type that has none of its own.
// +k8s:openapi-gen=false
type JSONText struct {
	// The value as JSON text.
	Raw []byte `json:"-" protobuf:"bytes,1,opt,name=raw"`
}

// SPDX-License-Identifier: Apache-2.0

package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	upstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	rawv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// takeAddress returns a listener filter that reads the PROXY protocol header from client
// connections. A connection without one is closed.
func takeAddress() *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{
		Name:       "envoy.filters.listener.proxy_protocol",
		ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: pack(&proxyprotocolv3.ProxyProtocol{})},
	}
}

// giveAddress wraps the transport socket of a cluster, which may be nil, so each
// connection to an endpoint starts with a PROXY protocol header, if endpoints expect it.
func (t *translation) giveAddress(inner *corev3.TransportSocket) *corev3.TransportSocket {
	version, expected := map[epicv1.ProxyProtocolVersion]corev3.ProxyProtocolConfig_Version{
		epicv1.ProxyProtocolV1: corev3.ProxyProtocolConfig_V1,
		epicv1.ProxyProtocolV2: corev3.ProxyProtocolConfig_V2,
	}[t.edge.BackendsGetAddress]
	if !expected {
		return inner
	}
	if inner == nil {
		inner = &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.raw_buffer",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&rawv3.RawBuffer{})},
		}
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.upstream_proxy_protocol",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&upstreamv3.ProxyProtocolUpstreamTransport{
			Config: &corev3.ProxyProtocolConfig{Version: version}, TransportSocket: inner,
		})},
	}
}

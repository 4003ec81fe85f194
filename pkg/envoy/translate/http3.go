// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	quicv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/quic/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// ReasonHTTP3Unavailable is a listener that can't serve HTTP/3.
const ReasonHTTP3Unavailable = "HTTP3Unavailable"

// overQUIC returns the listeners of a port that also serve HTTP/3, and reports those that
// can't.
func (g *gateway) overQUIC(k portKey, group []*listener) []*listener {
	if g.edge.HTTP3 == nil {
		return nil
	}
	var other *listener
	for _, l := range g.listeners {
		if l.accepted() && l.key() == (portKey{k.port, protocolUDP}) {
			other = l
		}
	}
	var all []*listener
	for _, l := range group {
		switch {
		case l.spec.Protocol != gatewayv1.HTTPSProtocolType || l.tls == nil:
		case other != nil:
			g.problems.add(g.proxy, l.field, ReasonHTTP3Unavailable, "does not serve HTTP/3: the listener %q uses the UDP port %d: use another port for one of them", other.spec.Name, k.port)
		case l.tls.authorities != "":
			g.problems.add(g.proxy, l.field, ReasonHTTP3Unavailable, "does not serve HTTP/3: it requires client certificates, which are only verified over TCP: disable http3 in spec.edge, or remove the validation in gateway.tls.frontend")
		default:
			all = append(all, l)
		}
	}
	return all
}

// renderQUIC creates the UDP listener of a port for HTTP/3. Its connections have the same
// routes as those of the listeners over TCP, including the 421 response for a hostname of
// another listener.
func (g *gateway) renderQUIC(k portKey, group []*listener) {
	if len(group) == 0 {
		return
	}
	envoy := g.listener(g.where, protocolUDP, k.port)
	envoy.UdpListenerConfig = &listenerv3.UdpListenerConfig{QuicOptions: &listenerv3.QuicProtocolOptions{}}
	for _, l := range group {
		stat := fmt.Sprintf("quic_%d_%s", k.port, l.spec.Name)
		manager := g.connectionManager(stat, httpsRoutes(k, l))
		manager.CodecType = hcmv3.HttpConnectionManager_HTTP3
		manager.Http2ProtocolOptions = nil
		manager.Http3ProtocolOptions = &corev3.Http3ProtocolOptions{}
		envoy.FilterChains = append(envoy.FilterChains, &listenerv3.FilterChain{
			Name:             "quic/" + string(l.spec.Name),
			FilterChainMatch: matchSNI(l.hostname),
			Filters:          append(g.admission(stat, "quic/"+string(l.spec.Name)), serve(manager)),
			TransportSocket: &corev3.TransportSocket{
				Name: "envoy.transport_sockets.quic",
				ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: pack(&quicv3.QuicDownstreamTransport{
					DownstreamTlsContext: g.downstreamTLS(l.tls, "h3"),
					// A request in the first packet could be replayed by anyone who saw
					// it.
					EnableEarlyData: wrapperspb.Bool(false),
				})},
			},
		})
	}
	g.put(resource.Listener, envoy.Name, envoy, g.proxy)
}

// advertise returns the headers that inform clients of a listener that it serves HTTP/3.
func (g *gateway) advertise(k portKey) []*corev3.HeaderValueOption {
	return []*corev3.HeaderValueOption{{
		Header: &corev3.HeaderValue{
			Key: "alt-svc", Value: fmt.Sprintf(`h3=":%d"; ma=%d`, g.where.port(k.port), int64(g.edge.HTTP3.MaxAge.Seconds())),
		},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}}
}

// httpsRoutes returns the name of the route configuration of an HTTPS listener.
func httpsRoutes(k portKey, l *listener) string {
	return fmt.Sprintf("https/%d/%s", k.port, l.spec.Name)
}

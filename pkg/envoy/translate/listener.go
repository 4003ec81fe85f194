// SPDX-License-Identifier: Apache-2.0

package translate

import (
	"fmt"
	"net/netip"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	connectionlimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/endpoints"
)

// binding is where a proxy listens.
type binding struct {
	addresses []netip.Addr
	port      func(uint16) uint16
}

// bindingOf returns where a proxy with these addresses in its spec listens. It has no
// address if none can be used.
func bindingOf(options Options, own ...string) binding {
	b := binding{addresses: options.Addresses, port: options.ListenPort}
	if b.port == nil {
		b.port = func(published uint16) uint16 { return published }
	}
	if len(b.addresses) > 0 {
		return b
	}
	for _, s := range own {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && !slices.Contains(b.addresses, a.Unmap()) {
			b.addresses = append(b.addresses, a.Unmap())
		}
	}
	return b
}

// Listen returns the addresses on which a proxy with these addresses in its spec listens,
// and a function that maps a published port to the one on which it listens. It returns no
// address if none can be used.
func (o Options) Listen(own ...string) ([]netip.Addr, func(published uint16) uint16) {
	b := bindingOf(o, own...)
	return b.addresses, b.port
}

// listenerName returns the name of the listener of a published port, such as "tcp/80".
func listenerName(protocol uint8, port uint16) string {
	return fmt.Sprintf("%s/%d", endpoints.ProtocolName(protocol), port)
}

// listener returns a listener on a published port, without filters.
func (t *translation) listener(b binding, protocol uint8, port uint16) *listenerv3.Listener {
	l := &listenerv3.Listener{
		Name:                          listenerName(protocol, port),
		PerConnectionBufferLimitBytes: wrapperspb.UInt32(t.limits.buffer),
		// The address may be added, or become usable, after Envoy has started.
		Freebind: wrapperspb.Bool(true),
	}
	for i, a := range b.addresses {
		address := socketAddress(netip.AddrPortFrom(a, b.port(port)), protocol)
		if i == 0 {
			l.Address = address
		} else {
			l.AdditionalAddresses = append(l.AdditionalAddresses, &listenerv3.AdditionalAddress{Address: address})
		}
	}
	if protocol == protocolUDP {
		l.UdpListenerConfig = &listenerv3.UdpListenerConfig{}
		l.EnableReusePort = wrapperspb.Bool(true)
	} else {
		l.ListenerFiltersTimeout = durationpb.New(t.limits.headersTimeout)
		if t.edge.ClientsSendAddress {
			l.ListenerFilters = []*listenerv3.ListenerFilter{takeAddress()}
		}
	}
	return l
}

func socketAddress(a netip.AddrPort, protocol uint8) *corev3.Address {
	s := &corev3.SocketAddress{
		Address:       a.Addr().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}
	if protocol == protocolUDP {
		s.Protocol = corev3.SocketAddress_UDP
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: s}}
}

// networkFilter wraps the configuration of a network filter.
func networkFilter(name string, config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: pack(config)}}
}

// connectionLimit returns a filter that closes connections beyond the limit of a filter
// chain.
func (t *translation) connectionLimit(statPrefix string) *listenerv3.Filter {
	return networkFilter("envoy.filters.network.connection_limit", &connectionlimitv3.ConnectionLimit{
		StatPrefix:     statPrefix,
		MaxConnections: wrapperspb.UInt64(uint64(t.edge.PerListener)),
	})
}

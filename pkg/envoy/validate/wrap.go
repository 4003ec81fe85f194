// SPDX-License-Identifier: Apache-2.0

package validate

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/acnodal/epic/pkg/envoy/resource"
)

// wrap returns the resource by which the long-running Envoy validates another one. Its
// name identifies its content. If the resource can't be decoded, wrap returns the refusal
// instead.
//
// The Envoy reads everything in the resource except its addresses. A listener does not
// bind, so it uses no port here; one for UDP binds to a local address. Nothing waits for
// endpoints, secrets and routes, of which this Envoy gets none: so it never connects
// anywhere, and gets no key.
func wrap(r *resource.Resource) (wrapped *resource.Resource, refusal string, err error) {
	name := r.Type.String() + "-" + r.Version
	t := r.Type
	var m proto.Message
	switch r.Type {
	case resource.Cluster:
		c := &clusterv3.Cluster{}
		if err := proto.Unmarshal(r.Body, c); err != nil {
			return nil, undecodable(err), nil
		}
		c.Name, m = name, c
		impatient(c.ProtoReflect())
	case resource.Listener:
		l := &listenerv3.Listener{}
		if err := proto.Unmarshal(r.Body, l); err != nil {
			return nil, undecodable(err), nil
		}
		l.Name, m = name, l
		unbind(l, r.Version)
		impatient(l.ProtoReflect())
	case resource.Route:
		c := &routev3.RouteConfiguration{}
		if err := proto.Unmarshal(r.Body, c); err != nil {
			return nil, undecodable(err), nil
		}
		l, err := routeListener(c, 0)
		if err != nil {
			return nil, "", err
		}
		l.Name, t, m = name, resource.Listener, l
		unbind(l, r.Version)
	case resource.Secret, resource.Endpoint:
		return nil, "", fmt.Errorf("%s resources can't be checked", r.Type)
	}
	wrapped, err = resource.New(t, name, m)
	return wrapped, "", err
}

func undecodable(err error) string { return "can't be decoded: " + err.Error() }

// unbind gives a listener a local address, and prevents it from listening there.
func unbind(l *listenerv3.Listener, version string) {
	udp := l.GetAddress().GetSocketAddress().GetProtocol() == corev3.SocketAddress_UDP
	l.Address = loopback(version, udp)
	for i, a := range l.AdditionalAddresses {
		a.Address = loopback(fmt.Sprint(version, i), udp)
	}
	if !udp {
		l.BindToPort = wrapperspb.Bool(false)
	}
}

// loopback returns an address that is unlikely to be used by another listener.
func loopback(of string, udp bool) *corev3.Address {
	h := fnv.New64a()
	_, _ = h.Write([]byte(of))
	sum := h.Sum64()
	s := &corev3.SocketAddress{
		Address:       netip.AddrFrom4([4]byte{127, byte(sum), byte(sum >> 8), byte(sum>>16)%254 + 1}).String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 1024 + uint32(sum>>24)%60_000},
	}
	if udp {
		s.Protocol = corev3.SocketAddress_UDP
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: s}}
}

// patience is how long Envoy waits for resources that a configuration source does not
// deliver.
const patience = time.Millisecond

// impatient sets the timeouts of all references in a message to patience, and allows the
// routes of a listener to name clusters that this Envoy does not have. Types that this
// program does not know stay unchanged.
func impatient(m protoreflect.Message) {
	switch m := m.Interface().(type) {
	case *corev3.ConfigSource:
		m.InitialFetchTimeout = durationpb.New(patience)
		return
	case *routev3.RouteConfiguration:
		m.ValidateClusters = wrapperspb.Bool(false)
	case *anypb.Any:
		inner, err := m.UnmarshalNew()
		if err != nil {
			return
		}
		impatient(inner.ProtoReflect())
		if packed, err := anypb.New(inner); err == nil {
			m.Value = packed.Value
		}
		return
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					impatient(v.Message())
					return true
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				impatient(v.List().Get(i).Message())
			}
		default:
			impatient(v.Message())
		}
		return true
	})
}

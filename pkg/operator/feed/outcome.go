// SPDX-License-Identifier: Apache-2.0

package feed

import (
	"cmp"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// Outcome is the outcome of a translation. It is immutable once returned.
type Outcome struct {
	// UID and Generation identify the object that was translated.
	UID        types.UID
	Generation int64
	// Listeners are Envoy's listeners, sorted by name.
	Listeners []Listener
	// Gateway lists the listeners of the object's Gateway, and Routes the routes that
	// name it as a parent.
	Gateway []GatewayListener
	Routes  []translate.RouteStatus
	// Problems are the problems of the objects, and EndpointProblems those of endpoints.
	Problems, EndpointProblems []translate.Problem
	// Withheld holds Envoy's errors for resources that no proxy gets.
	Withheld map[resource.Key]string
}

// GatewayListener is a listener of a Gateway.
type GatewayListener struct {
	translate.ListenerStatus
	// Envoy is Envoy's listener for it, or nil if there is none.
	Envoy *Listener
}

// Listener is a listener of Envoy.
type Listener struct {
	epicv1.EnvoyListenerStatus
	// Key and Version identify the resource.
	Key     resource.Key
	Version string
}

// outcomeOf returns the outcome of a translation. port maps published ports to those on
// which Envoys listen.
func outcomeOf(s *source, r *translate.Result, port func(published uint16) uint16) *Outcome {
	o := &Outcome{UID: s.uid, Routes: r.Routes, Problems: r.Problems}
	if s.lb != nil {
		o.Generation = s.lb.Generation
	} else {
		o.Generation = s.gw.Generation
	}
	for key, res := range r.Resources {
		if key.Type == resource.Listener {
			o.Listeners = append(o.Listeners, listenerOf(res))
		}
	}
	slices.SortFunc(o.Listeners, func(a, b Listener) int { return cmp.Compare(a.Name, b.Name) })
	for i, l := range r.Listeners {
		o.Gateway = append(o.Gateway, GatewayListener{ListenerStatus: l, Envoy: o.envoy(s, i, port)})
	}
	return o
}

// envoy returns Envoy's listener for listener i of the Gateway, or nil if there is none.
func (o *Outcome) envoy(s *source, i int, port func(uint16) uint16) *Listener {
	if s.gw == nil || s.gw.Spec.Gateway == nil || i >= len(s.gw.Spec.Gateway.Listeners) {
		return nil
	}
	spec := &s.gw.Spec.Gateway.Listeners[i]
	protocol := corev1.ProtocolTCP
	if spec.Protocol == gatewayv1.UDPProtocolType {
		protocol = corev1.ProtocolUDP
	}
	at := slices.IndexFunc(o.Listeners, func(l Listener) bool {
		return l.Port == int32(port(uint16(spec.Port))) && l.Protocol == protocol
	})
	if at < 0 {
		return nil
	}
	return &o.Listeners[at]
}

// listenerOf returns the address on which a listener listens.
func listenerOf(r *resource.Resource) Listener {
	l := Listener{EnvoyListenerStatus: epicv1.EnvoyListenerStatus{Name: r.Name, Protocol: corev1.ProtocolTCP}, Key: r.Key(), Version: r.Version}
	var message listenerv3.Listener
	if proto.Unmarshal(r.Body, &message) != nil {
		return l // only its name is known
	}
	at := message.GetAddress().GetSocketAddress()
	l.Address, l.Port = at.GetAddress(), int32(at.GetPortValue())
	if at.GetProtocol() == corev3.SocketAddress_UDP {
		l.Protocol = corev1.ProtocolUDP
	}
	return l
}

// with returns the outcome with other problems of endpoints.
func (o *Outcome) with(troubles map[string][]translate.Problem) *Outcome {
	next := *o
	next.EndpointProblems = nil
	for _, backend := range slices.Sorted(maps.Keys(troubles)) {
		for _, p := range troubles[backend] {
			// Several backends may have the same endpoints.
			if !slices.Contains(next.EndpointProblems, p) {
				next.EndpointProblems = append(next.EndpointProblems, p)
			}
		}
	}
	return &next
}

// equal reports whether two outcomes of one translation have the same problems.
func (o *Outcome) equal(p *Outcome) bool { return slices.Equal(o.EndpointProblems, p.EndpointProblems) }

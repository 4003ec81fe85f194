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

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/translate"
)

// Outcome is what came of a translation. It is not changed once it was returned.
type Outcome struct {
	// UID and Generation are of the object that was translated.
	UID        types.UID
	Generation int64
	// Listeners are those of Envoy, in the order of their names.
	Listeners []Listener
	// Gateway are the listeners of the object's Gateway, and Routes the routes that name
	// it as a parent.
	Gateway []translate.ListenerStatus
	Routes  []translate.RouteStatus
	// Problems are what is wrong with the objects, and EndpointProblems what is wrong
	// with endpoints.
	Problems, EndpointProblems []translate.Problem
}

// Listener is a listener of Envoy's.
type Listener struct {
	epicv1.EnvoyListenerStatus
	// Key and Version say which resource it is.
	Key     resource.Key
	Version string
}

func outcomeOf(s *source, r *translate.Result) *Outcome {
	o := &Outcome{UID: s.uid, Gateway: r.Listeners, Routes: r.Routes, Problems: r.Problems}
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
	return o
}

// listenerOf reads where a listener listens.
func listenerOf(r *resource.Resource) Listener {
	l := Listener{EnvoyListenerStatus: epicv1.EnvoyListenerStatus{Name: r.Name, Protocol: corev1.ProtocolTCP}, Key: r.Key(), Version: r.Version}
	var message listenerv3.Listener
	if proto.Unmarshal(r.Body, &message) != nil {
		return l // it is told by its name alone
	}
	at := message.GetAddress().GetSocketAddress()
	l.Address, l.Port = at.GetAddress(), int32(at.GetPortValue())
	if at.GetProtocol() == corev3.SocketAddress_UDP {
		l.Protocol = corev1.ProtocolUDP
	}
	return l
}

// with is the outcome with other problems of endpoints.
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

// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const (
	benchAccount   = "bench"
	benchNamespace = "epic-" + benchAccount
	mostWriters    = 32
	// grow is the number of entries added to an object before they are removed, by
	// the same kind of write, which counts as one.
	grow = 16
)

// writers are clients each of which changes a load balancer of its own.
type writers struct {
	side *side
	// objects are the writers' own, as last written.
	objects []*epicv1.LoadBalancer
}

// newWriters makes their load balancers.
func newWriters(ctx context.Context, s *side) (*writers, error) {
	w := &writers{side: s}
	for i := range mostWriters {
		lb := s.newLoadBalancer(fmt.Sprintf("lb%d", i))
		lb.Spec.ServiceGroup = groupName
		if err := s.create(ctx, benchNamespace, "loadbalancers", lb); err != nil {
			return nil, err
		}
		w.objects = append(w.objects, lb)
	}
	return w, nil
}

// addTunnel adds a tunnel, whose ID the server assigns: one more ID each time.
func (w *writers) addTunnel(ctx context.Context, writer, n int) error {
	return w.addTunnelWithID(ctx, writer, n, 0)
}

// addTunnelWithID adds a tunnel that has an ID already.
func (w *writers) addTunnelWithID(ctx context.Context, writer, n int, id int32) error {
	return w.write(ctx, writer, func(s *epicv1.ProxyStatus) {
		if s.GUETunnelEndpoints == nil || n%(grow+1) == 0 {
			s.GUETunnelEndpoints = map[string]epicv1.TunnelEndpoint{}
		}
		s.ProxyIfInfo = nil
		if n%(grow+1) == 0 {
			return
		}
		t := epicv1.TunnelEndpoint{EPICAddress: gatewayNode, TunnelID: id}
		if id != 0 {
			// What a server of EPIC's makes of it; otherwise the client has to.
			t = tunnel(gatewayNode, id)
		}
		s.GUETunnelEndpoints[fmt.Sprintf("10.0.%d.%d", writer, n%(grow+1))] = t
	})
}

// addInterfaces grows the object as addTunnel does, by entries of about the same
// size that do not need an ID.
func (w *writers) addInterfaces(ctx context.Context, writer, n int) error {
	return w.write(ctx, writer, func(s *epicv1.ProxyStatus) {
		if s.ProxyIfInfo == nil || n%(grow+1) == 0 {
			s.ProxyIfInfo = map[string]epicv1.ProxyInterfaceInfo{}
		}
		s.GUETunnelEndpoints = nil
		for half := range 2 {
			if n%(grow+1) != 0 {
				s.ProxyIfInfo[fmt.Sprintf("pod-%d-%d-%d", writer, n%(grow+1), half)] = epicv1.ProxyInterfaceInfo{
					EPICNodeAddress: gatewayNode, EPICPort: guePort, Index: int32(n%1000 + 1), Name: "veth0",
				}
			}
		}
	})
}

func (w *writers) write(ctx context.Context, writer int, change func(*epicv1.ProxyStatus)) error {
	obj := w.objects[writer].DeepCopy()
	change(&obj.Status)
	// A write that changes nothing would not be one.
	obj.Status.ObservedGeneration++
	if err := w.side.updateStatus(ctx, benchNamespace, "loadbalancers", obj.Name, obj); err != nil {
		return err
	}
	w.objects[writer] = obj
	return nil
}

const gatewayNode = "192.168.1.40"

var guePort = epicv1.EndpointPort{Port: 6080, Protocol: "UDP", AppProtocol: "gue"}

// tunnel is one tunnel to one gateway node, in full.
func tunnel(node string, id int32) epicv1.TunnelEndpoint {
	return epicv1.TunnelEndpoint{
		EPICAddress: node, EPICPort: guePort, TunnelID: id,
		EPICEndpoints: map[string]epicv1.GUETunnelEndpoint{node: {EPICAddress: node, EPICPort: guePort, TunnelID: id}},
	}
}

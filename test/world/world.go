// SPDX-License-Identifier: Apache-2.0

package world

import (
	"errors"
	"fmt"

	"github.com/acnodal/epic/test/netlab"
)

// MTU is the size of packets on all links unless Options say otherwise: the
// Internet's usual one.
const MTU = 1500

// World is the network. Its processes are started by those who use it.
type World struct {
	lab *netlab.Lab
	mtu int

	// Visitor is a host of the Internet.
	Visitor *netlab.Namespace
	// Internet is the router between all.
	Internet *netlab.Namespace
	// Gateway is the gateway node. Its underlay is eth0.
	Gateway *netlab.Namespace
	// Tenants are the tenants' networks.
	Tenants []*Tenant
}

// Tenant is a tenant's network.
type Tenant struct {
	// NAT hides Node; its outside is the interface "out".
	NAT *netlab.Namespace
	// Node is the client node. Its underlay is eth0.
	Node *netlab.Namespace
	// Pod is a pod on it.
	Pod *netlab.Namespace
	// PublicAddress is the NAT's, which the gateway node sees.
	PublicAddress, PublicAddress6 string
}

// New makes the world with the given number of tenants in a lab, which removes it
// when it is closed.
func New(lab *netlab.Lab, tenants int) (*World, error) {
	w := &World{lab: lab, mtu: MTU}
	if err := w.build(tenants); err != nil {
		return nil, fmt.Errorf("make the small world: %w", err)
	}
	return w, nil
}

func (w *World) build(tenants int) error {
	hosts := []struct {
		name string
		host **netlab.Namespace
	}{{"visitor", &w.Visitor}, {"internet", &w.Internet}, {"gateway", &w.Gateway}}
	for _, h := range hosts {
		var err error
		if *h.host, err = w.lab.Namespace(h.name); err != nil {
			return err
		}
	}
	err := steps(
		func() error { return w.Internet.Forward() },
		func() error { return netlab.Veth(w.Visitor, "eth0", w.Internet, "visitor", w.mtu) },
		func() error { return w.Visitor.Addr("eth0", visitorAddress+"/24", visitorAddress6+"/64") },
		func() error { return w.Internet.Addr("visitor", routerToVisitor+"/24", routerToVisitor6+"/64") },
		func() error { return defaults(w.Visitor, routerToVisitor, routerToVisitor6) },

		func() error { return netlab.Veth(w.Gateway, "eth0", w.Internet, "gateway", w.mtu) },
		func() error { return w.Gateway.Addr("eth0", GatewayAddress+"/24", GatewayAddress6+"/64") },
		func() error { return w.Internet.Addr("gateway", routerToGateway+"/24", routerToGateway6+"/64") },
		func() error { return defaults(w.Gateway, routerToGateway, routerToGateway6) },
		func() error { return w.Gateway.Forward() },
		func() error { return w.Internet.Route(PublicPrefix, GatewayAddress, "") },
		func() error { return w.Internet.Route(PublicPrefix6, GatewayAddress6, "") },
	)
	if err != nil {
		return err
	}
	for i := range tenants {
		tenant, err := w.tenant(i + 1)
		if err != nil {
			return fmt.Errorf("tenant %d: %w", i+1, err)
		}
		w.Tenants = append(w.Tenants, tenant)
	}
	return nil
}

func (w *World) tenant(number int) (*Tenant, error) {
	t := &Tenant{
		PublicAddress:  fmt.Sprintf("198.51.100.%d", 4*number+2),
		PublicAddress6: fmt.Sprintf("2001:db8:100:%x::2", number),
	}
	hosts := []struct {
		name string
		host **netlab.Namespace
	}{{"nat", &t.NAT}, {"node", &t.Node}, {"pod", &t.Pod}}
	for _, h := range hosts {
		var err error
		if *h.host, err = w.lab.Namespace(fmt.Sprintf("%s%d", h.name, number)); err != nil {
			return nil, err
		}
	}
	port := fmt.Sprintf("nat%d", number)
	router := fmt.Sprintf("198.51.100.%d", 4*number+1)
	router6 := fmt.Sprintf("2001:db8:100:%x::1", number)
	return t, steps(
		func() error { return netlab.Veth(t.NAT, "out", w.Internet, port, w.mtu) },
		func() error { return t.NAT.Addr("out", t.PublicAddress+"/30", t.PublicAddress6+"/64") },
		func() error { return w.Internet.Addr(port, router+"/30", router6+"/64") },
		func() error { return defaults(t.NAT, router, router6) },

		func() error { return netlab.Veth(t.NAT, "in", t.Node, "eth0", w.mtu) },
		func() error { return t.NAT.Addr("in", "192.168.1.1/24", "fd00:1::1/64") },
		func() error { return t.NAT.Forward() },
		func() error { return t.NAT.Masquerade("out") },
		func() error { return t.NAT.Guard("out") },
		func() error { return t.Node.Addr("eth0", NodeAddress+"/24", NodeAddress6+"/64") },
		func() error { return defaults(t.Node, "192.168.1.1", "fd00:1::1") },

		// As a CNI plugin does it: a bridge with the node's end of the pods' network.
		func() error { return t.Node.Forward() },
		func() error { return netlab.Veth(t.Node, "pod", t.Pod, "eth0", w.mtu) },
		func() error { return t.Node.Bridge("cni0", w.mtu, "pod") },
		func() error { return t.Node.Addr("cni0", "10.244.0.1/24", "fd00:244::1/64") },
		func() error { return t.Pod.Addr("eth0", PodAddress+"/24", PodAddress6+"/64") },
		func() error { return defaults(t.Pod, "10.244.0.1", "fd00:244::1") },
		// What pods ask of the world, they ask with the node's address.
		func() error { return t.Node.Masquerade("eth0") },
		// A careful distribution's setting: a packet has to come by the way that
		// its answer would take.
		func() error { return t.Node.Sysctl("ipv4.conf.all.rp_filter", "1") },
	)
}

func defaults(n *netlab.Namespace, gateway, gateway6 string) error {
	return errors.Join(n.Route("0.0.0.0/0", gateway, ""), n.Route("::/0", gateway6, ""))
}

func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

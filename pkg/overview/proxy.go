// SPDX-License-Identifier: Apache-2.0

package overview

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
	"github.com/acnodal/epic/pkg/placement"
	"github.com/acnodal/epic/pkg/tunnelstate"
)

// loadBalancer returns the path of a load balancer.
func (b *builder) loadBalancer(o *v1.LoadBalancer) *Proxy {
	p := b.proxy("LoadBalancer", epic.ResourceLoadBalancers, o, &o.Status)
	p.DisplayName, p.Group = o.Spec.DisplayName, cmp.Or(o.Labels[epic.OwningLBServiceGroupLabel], o.Spec.ServiceGroup)
	p.publish([]string{o.Spec.PublicAddress}, o.Spec.PublicPorts, o.Spec.Endpoints)
	nodes := b.clientNodes(&o.Status)
	groups := grouped{}
	for _, rep := range b.endpointsOf[parent{o.Namespace, o.Name}] {
		e := Endpoint{Address: netip.AddrPortFrom(parseAddress(rep.Spec.Address), uint16(rep.Spec.Port.Port)).String(), Object: rep.Name, Cluster: rep.Spec.Cluster}
		if !parseAddress(rep.Spec.Address).IsValid() {
			e.Address = fmt.Sprintf("%s port %d", rep.Spec.Address, rep.Spec.Port.Port)
		}
		e.State, e.Status = summaryOf(rep.Status.Conditions, "ready")
		groups.add(&about{kind: "RemoteEndpoint", object: rep, subject: "Endpoint " + rep.Name, proxy: o.Name}, rep.Status.Conditions)
		p.endpoint(nodes, rep.Spec.NodeAddress, ptr.Deref(o.Spec.TrueIngress, true), e)
	}
	p.settle(nodes, groups.all(), b.tunnelsFromConditions(o.Status.Conditions))
	return p
}

// gatewayProxy returns the path of a gateway proxy.
func (b *builder) gatewayProxy(o *v1.GWProxy) *Proxy {
	p := b.proxy("GWProxy", epic.ResourceGWProxies, o, &o.Status)
	p.DisplayName, p.Group = o.Spec.DisplayName, o.Labels[epic.OwningLBServiceGroupLabel]
	p.publish([]string{o.Spec.PublicAddress, o.Spec.AltAddress}, o.Spec.PublicPorts, o.Spec.Endpoints)
	for i := range o.Status.Listeners {
		l := &o.Status.Listeners[i]
		state, status := summaryOf(l.Conditions, "serving")
		p.Listeners = append(p.Listeners, Listener{Name: l.Name, Routes: l.AttachedRoutes, State: state, Status: status})
	}
	routes := b.routesOf[parent{o.Namespace, o.Name}]
	services := map[string]bool{}
	var faults []Fault
	for _, route := range routes {
		p.Routes = append(p.Routes, routeOf(route))
		faults = append(faults, faultsOf(&about{kind: "GWRoute", object: route, subject: "Route " + routeName(route), proxy: o.Name}, route.Status.Conditions)...)
		for _, service := range endpoints.ServicesOf(route) {
			services[service] = true
		}
	}
	slices.SortFunc(p.Routes, func(x, y Route) int { return strings.Compare(x.Name, y.Name) })
	var all []*v1.GWEndpointSlice
	for _, service := range slices.Sorted(maps.Keys(services)) {
		all = append(all, b.slicesOf[parent{o.Namespace, service}]...)
	}
	slices.SortFunc(all, func(x, y *v1.GWEndpointSlice) int { return strings.Compare(x.Name, y.Name) })
	nodes := b.clientNodes(&o.Status)
	found, _ := endpoints.OfGWProxy(o, routes, all)
	ready := map[netip.Addr]bool{}
	for _, e := range found {
		ready[e.Address.Addr()] = true
		node := ""
		if e.Node.IsValid() {
			node = e.Node.String()
		}
		p.endpoint(nodes, node, true, Endpoint{Address: e.Address.String(), State: Good, Status: "ready"})
	}
	for _, slice := range all {
		for i := range slice.Spec.Endpoints {
			e := &slice.Spec.Endpoints[i]
			for _, text := range e.Addresses {
				if address := parseAddress(text); ptr.Deref(e.Conditions.Ready, true) || ready[address] {
					continue
				}
				status := "not ready"
				if ptr.Deref(e.Conditions.Terminating, false) {
					status = "terminating"
				}
				ready[parseAddress(text)] = true
				p.endpoint(nodes, slice.Spec.NodeAddresses[ptr.Deref(e.NodeName, "")], true, Endpoint{Address: text, State: Warning, Status: status, Cluster: slice.Spec.ClientRef.ClusterID})
			}
		}
	}
	p.settle(nodes, faults, b.tunnelsFromConditions(o.Status.Conditions))
	return p
}

// proxy returns the common part of load balancers and gateway proxies.
func (b *builder) proxy(kind, resource string, o metav1.Object, s *v1.ProxyStatus) *Proxy {
	p := &Proxy{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName(), Conditions: s.Conditions}
	subject := "Load balancer "
	if kind == "GWProxy" {
		subject = "Gateway proxy "
	}
	at := &about{kind: kind, object: o, subject: subject + o.GetName(), proxy: o.GetName()}
	p.Faults = faultsOf(at, s.Conditions)
	if e := s.Envoy; e != nil {
		b.operated = true
		p.Operated, p.Envoys, p.EnvoysReady, p.Rejection = true, e.Replicas, e.ReadyReplicas, e.LastRejection
		programmed := meta.FindStatusCondition(s.Conditions, programmedCondition)
		if e.ReadyReplicas < e.Replicas && (programmed == nil || !faulty(programmed)) {
			p.Faults = append(p.Faults, at.fault(Warning, reasonEnvoysNotReady, fmt.Sprintf("%d of %d Envoys are ready; the others do not get requests.", e.ReadyReplicas, e.Replicas)))
		}
	}
	if d := o.GetDeletionTimestamp(); d != nil && b.Now.Sub(d.Time) > deletionPatience {
		f := at.fault(Warning, reasonDeleting, "It is being deleted, and kept by the finalizer "+strings.Join(o.GetFinalizers(), ", ")+".")
		f.Since = *d
		p.Faults = append(p.Faults, f)
	}
	b.pods(p, placement.Object{Resource: resource, Namespace: p.Namespace, Name: p.Name}, s)
	return p
}

// publish adds what visitors see.
func (p *Proxy) publish(addresses []string, ports []v1.ServicePort, names []v1.DNSEndpoint) {
	for _, address := range addresses {
		if address != "" {
			p.Addresses = append(p.Addresses, address)
		}
	}
	for _, port := range ports {
		p.Ports = append(p.Ports, fmt.Sprintf("%d/%s", port.Port, cmp.Or(port.Protocol, corev1.ProtocolTCP)))
	}
	for _, name := range names {
		p.DNSNames = append(p.DNSNames, name.DNSName)
	}
}

// pods adds the pods in the cluster, and those whose interfaces nodes report.
func (b *builder) pods(p *Proxy, object placement.Object, s *v1.ProxyStatus) {
	seen := map[string]bool{}
	for _, pod := range b.podsOf[object] {
		seen[pod.Name] = true
		out := Pod{Name: pod.Name, Node: pod.Spec.NodeName, State: Good, Status: "ready"}
		info, attached := s.ProxyIfInfo[pod.Name]
		out.GatewayNode, out.Interface = info.EPICNodeAddress, info.Name
		out.State, out.Status, out.Restarts = podState(pod)
		if out.State == Good && !attached {
			out.State, out.Status = Warning, "waits for its public interface"
		}
		b.addPod(p, out)
	}
	for _, name := range slices.Sorted(maps.Keys(s.ProxyIfInfo)) {
		if seen[name] {
			continue
		}
		info := s.ProxyIfInfo[name]
		out := Pod{Name: name, GatewayNode: info.EPICNodeAddress, Interface: info.Name, State: Good, Status: "attached"}
		if b.PodsRead {
			out.State, out.Status = Warning, "its pod is gone"
		}
		b.addPod(p, out)
	}
	slices.SortFunc(p.Pods, func(x, y Pod) int { return strings.Compare(x.Name, y.Name) })
}

// addPod adds a pod. The report of a stale gateway node may be outdated.
func (b *builder) addPod(p *Proxy, pod Pod) {
	if node := b.reported[pod.GatewayNode]; node != nil {
		node.Proxies++
		if node.State == Bad && pod.State == Good {
			pod.State, pod.Status = Warning, "its gateway node has a problem"
		}
		pod.Node = cmp.Or(pod.Node, node.Name)
	}
	p.Pods = append(p.Pods, pod)
}

// podState summarizes the status of a pod.
func podState(pod *corev1.Pod) (state State, status string, restarts int32) {
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		restarts += c.RestartCount
		if w := c.State.Waiting; w != nil && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" && status == "" {
			status = w.Reason
		}
	}
	switch ready := podCondition(pod, corev1.PodReady); {
	case pod.DeletionTimestamp != nil:
		return Warning, "drains", restarts
	case status != "":
		return Bad, status, restarts
	case pod.Status.Phase == corev1.PodPending:
		if c := podCondition(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
			return Bad, cmp.Or(c.Message, c.Reason, "not scheduled"), restarts
		}
		return Warning, "starts", restarts
	case pod.Status.Phase == corev1.PodFailed:
		return Bad, cmp.Or(pod.Status.Reason, "failed"), restarts
	case pod.Status.Phase == corev1.PodSucceeded:
		return Warning, "has ended", restarts
	case ready == nil || ready.Status != corev1.ConditionTrue:
		return Warning, "not ready", restarts
	}
	return Good, "ready", restarts
}

func podCondition(pod *corev1.Pod, of corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == of {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// clientNodes returns the client nodes to which a proxy has tunnels, by address.
func (b *builder) clientNodes(s *v1.ProxyStatus) map[string]*ClientNode {
	nodes := map[string]*ClientNode{}
	for address, t := range s.GUETunnelEndpoints {
		n := &ClientNode{Address: address, State: Unknown}
		pairs := t.EPICEndpoints
		if len(pairs) == 0 {
			pairs = map[string]v1.GUETunnelEndpoint{t.EPICAddress: {EPICAddress: t.EPICAddress, EPICPort: t.EPICPort, TunnelID: t.TunnelID}}
		}
		for _, gateway := range slices.SortedFunc(maps.Keys(pairs), byAddress) {
			pair := pairs[gateway]
			n.Tunnels = append(n.Tunnels, b.tunnel(gateway, &pair))
		}
		nodes[address] = n
	}
	return nodes
}

// tunnel returns a tunnel with the state that its gateway node reports.
func (b *builder) tunnel(gateway string, pair *v1.GUETunnelEndpoint) Tunnel {
	t := Tunnel{ID: pair.TunnelID, GatewayNode: gateway, Port: pair.EPICPort.Port, State: Unknown, Status: "unknown"}
	if node := b.reported[gateway]; node != nil {
		t.GatewayName = node.Name
	}
	node, err := netip.ParseAddr(gateway)
	switch {
	case pair.TunnelID == 0:
		t.State, t.Status = Warning, "has no ID yet"
	case err != nil:
	case b.tunnels.State(pair.TunnelID, node) == tunnelstate.Up:
		t.State, t.Status = Good, "up"
	case b.tunnels.State(pair.TunnelID, node) == tunnelstate.Down:
		t.State, t.Status = Bad, cmp.Or(b.silence[pair.TunnelID], "down")
	case b.reported[gateway] != nil && b.reported[gateway].State == Bad:
		t.Status = "unknown: its gateway node has a problem"
	}
	return t
}

// tunnelsFromConditions returns the state of the tunnels of an object from its
// conditions, for readers who may not see the reports of gateway nodes.
func (b *builder) tunnelsFromConditions(conditions []metav1.Condition) State {
	c := meta.FindStatusCondition(conditions, "TunnelsUp")
	switch {
	case len(b.GatewayNodes) > 0 || c == nil:
		return Unknown
	case c.Status == metav1.ConditionTrue:
		return Good
	case c.Reason == "AllTunnelsDown":
		return Bad
	}
	return Unknown
}

// endpoint adds an endpoint to its client node.
func (p *Proxy) endpoint(nodes map[string]*ClientNode, node string, tunnels bool, e Endpoint) {
	p.Endpoints.count(e.State)
	address := parseAddress(node)
	if !tunnels || !address.IsValid() {
		p.Direct = append(p.Direct, e)
		return
	}
	n := nodes[address.String()]
	if n == nil {
		n = &ClientNode{Address: address.String(), State: Unknown}
		nodes[n.Address] = n
	}
	n.Endpoints = append(n.Endpoints, e)
}

// settle completes a proxy: its client nodes, its tunnels, its faults and its state.
func (p *Proxy) settle(nodes map[string]*ClientNode, more []Fault, tunnels State) {
	for _, address := range slices.SortedFunc(maps.Keys(nodes), byAddress) {
		n := nodes[address]
		for i := range n.Tunnels {
			t := &n.Tunnels[i]
			if t.State == Unknown && tunnels != Unknown {
				t.State, t.Status = tunnels, map[State]string{Good: "up", Bad: "down"}[tunnels]
			}
			p.Tunnels.count(t.State)
		}
		n.State = nodeState(n.Tunnels)
		slices.SortFunc(n.Endpoints, byEndpoint)
		p.ClientNodes = append(p.ClientNodes, *n)
	}
	slices.SortFunc(p.Direct, byEndpoint)
	for _, f := range more {
		if !slices.ContainsFunc(p.Faults, func(has Fault) bool { return covers(&has, &f) }) {
			p.Faults = append(p.Faults, f)
		}
	}
	sortFaults(p.Faults)
	p.State = stateOf(p.Conditions, p.Faults)
}

// nodeState returns the state of a client node from its tunnels: a node that responds to
// only some gateway nodes is a Warning.
func nodeState(tunnels []Tunnel) State {
	var c Counts
	for i := range tunnels {
		c.count(tunnels[i].State)
	}
	return c.Together()
}

func byEndpoint(x, y Endpoint) int {
	return cmp.Or(strings.Compare(x.Address, y.Address), strings.Compare(x.Object, y.Object))
}

// routeName returns the name by which its tenant knows a route.
func routeName(o *v1.GWRoute) string {
	if o.Spec.ClientRef.Name == "" {
		return o.Name
	}
	if o.Spec.ClientRef.Namespace == "" {
		return o.Spec.ClientRef.Name
	}
	return o.Spec.ClientRef.Namespace + "/" + o.Spec.ClientRef.Name
}

// routeOf summarizes a route.
func routeOf(o *v1.GWRoute) Route {
	r := Route{Name: routeName(o), Client: o.Spec.ClientRef.ClusterID}
	add := func(hostnames []string) { r.Hostnames = hostnames }
	switch {
	case o.Spec.HTTP != nil:
		r.Type = "HTTP"
		add(texts(o.Spec.HTTP.Hostnames))
	case o.Spec.GRPC != nil:
		r.Type = "gRPC"
		add(texts(o.Spec.GRPC.Hostnames))
	case o.Spec.TLS != nil:
		r.Type = "TLS"
		add(texts(o.Spec.TLS.Hostnames))
	case o.Spec.TCP != nil:
		r.Type = "TCP"
	case o.Spec.UDP != nil:
		r.Type = "UDP"
	}
	r.State, r.Status = summaryOf(o.Status.Conditions, "serving")
	return r
}

func texts[T ~string](all []T) []string {
	out := make([]string, 0, len(all))
	for _, s := range all {
		out = append(out, string(s))
	}
	return out
}

// parseAddress parses an address, and returns the zero value for an invalid one.
func parseAddress(s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap()
}

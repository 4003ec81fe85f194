// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/netip"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/endpoints"
)

// newRemoteEndpoints returns the reconciler of remote endpoints. It reports whether the
// load balancer of an endpoint uses it, and whether a tunnel leads to it.
func newRemoteEndpoints(c *caches, p *pace, tunnels stateFunc) *conditionReconciler {
	j := newConditionReconciler("remoteendpoints", p, statusWriter(c.client.EpicV1().RemoteEndpoints))
	j.find = func(key cache.ObjectName) (*subject, error) {
		rep, err := c.kinds.RemoteEndpoints().Lister().RemoteEndpoints(key.Namespace).Get(key.Name)
		if err != nil {
			return nil, err
		}
		lb, err := c.kinds.LoadBalancers().Lister().LoadBalancers(key.Namespace).Get(endpoints.LoadBalancerOf(rep))
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, err
		}
		return &subject{meta: &rep.ObjectMeta, observed: rep.Status.ObservedGeneration, conditions: rep.Status.Conditions, found: remoteEndpoint(rep, lb, tunnels)}, nil
	}
	watch(j.reconciler, c.kinds.RemoteEndpoints().Informer(), itself[*epicv1.RemoteEndpoint])
	reps := c.kinds.RemoteEndpoints().Informer().GetIndexer()
	j.sources = append(j.sources, informed{c.kinds.LoadBalancers().Informer(), loadBalancerHandler(func(index, value string) {
		for _, key := range keysOf(lookUp[*epicv1.RemoteEndpoint](reps, index, value)) {
			j.add(key)
		}
	})})
	return j
}

// loadBalancerHandler returns a handler that adds the endpoints affected by a change of a
// load balancer. add receives each as a value of an index. A load balancer may have
// thousands of endpoints, and its status changes with each of them, so only those whose
// conditions may change are added.
func loadBalancerHandler(add func(index, value string)) cache.ResourceEventHandler {
	all := func(obj any) {
		if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
			obj = gone.Obj
		}
		if lb, ok := obj.(*epicv1.LoadBalancer); ok {
			add(byLoadBalancer, key(lb))
		}
	}
	return cache.ResourceEventHandlerFuncs{AddFunc: all, DeleteFunc: all, UpdateFunc: func(old, obj any) {
		before, ok := old.(*epicv1.LoadBalancer)
		now, ok2 := obj.(*epicv1.LoadBalancer)
		if !ok || !ok2 {
			return
		}
		if before.UID != now.UID || specChanged(before, now) || hasProxies(&before.Status) != hasProxies(&now.Status) {
			all(obj)
			return
		}
		for _, node := range changedNodes(&before.Status, &now.Status) {
			add(byEndpointNode, endpointNode(key(now), node))
		}
	}}
}

// changedNodes returns the client nodes that have a tunnel in only one of two statuses.
func changedNodes(before, now *epicv1.ProxyStatus) []string {
	var nodes []string
	for _, status := range []*epicv1.ProxyStatus{before, now} {
		for text := range status.GUETunnelEndpoints {
			node, ok := address(text)
			if ok && hasTunnel(before, node) != hasTunnel(now, node) {
				nodes = append(nodes, node.String())
			}
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

func hasProxies(status *epicv1.ProxyStatus) bool { return len(epicNodes(status.ProxyIfInfo)) > 0 }

// remoteEndpoint returns the conditions of an endpoint. lb is nil if its load balancer
// does not exist.
func remoteEndpoint(rep *epicv1.RemoteEndpoint, lb *epicv1.LoadBalancer, tunnels stateFunc) []metav1.Condition {
	accepted, tunnel := acceptance(rep, lb, tunnels)
	return withReady(accepted, tunnel)
}

func acceptance(rep *epicv1.RemoteEndpoint, lb *epicv1.LoadBalancer, tunnels stateFunc) (accepted, tunnel metav1.Condition) {
	if lb == nil {
		name := endpoints.LoadBalancerOf(rep)
		return condition(ConditionAccepted, false, ReasonNoLoadBalancer, "LoadBalancer %q does not exist: create it, or delete this endpoint", name),
			condition(ConditionTunnelReady, false, ReasonNoLoadBalancer, "LoadBalancer %q does not exist", name)
	}
	if !epic.BelongsTo(rep, lb) {
		return condition(ConditionAccepted, false, ReasonNoLoadBalancer,
				"The LoadBalancer %q of the endpoint was deleted, and another has its name: delete this endpoint, and create it again for the new one", lb.Name),
			condition(ConditionTunnelReady, false, ReasonNoLoadBalancer, "The LoadBalancer %q of the endpoint was deleted", lb.Name)
	}
	found, problems := endpoints.OfLoadBalancer(lb, []*epicv1.RemoteEndpoint{rep})
	if len(found) == 0 {
		reason, message := ReasonNoEndpoints, "The endpoint is not used"
		if len(problems) > 0 {
			reason, message = problems[0].Reason, problems[0].Message
		}
		return condition(ConditionAccepted, false, reason, "%s", message),
			condition(ConditionTunnelReady, false, reason, "The load balancer does not use the endpoint")
	}
	accepted = condition(ConditionAccepted, true, ReasonAccepted, "The load balancer uses the endpoint")
	switch {
	case lb.Spec.TrueIngress != nil && !*lb.Spec.TrueIngress:
		tunnel = condition(ConditionTunnelReady, true, ReasonNotNeeded, "The load balancer's true-ingress is false, so requests do not use tunnels")
	case len(problems) > 0:
		tunnel = condition(ConditionTunnelReady, false, problems[0].Reason, "%s", problems[0].Message)
	case hasTunnel(&lb.Status, found[0].Node):
		tunnel = linksTo([]netip.Addr{found[0].Node}, tunnels, &lb.Status).tunnelUp()
	case !hasProxies(&lb.Status):
		tunnel = condition(ConditionTunnelReady, false, ReasonNoProxies, noProxiesYet)
	default:
		tunnel = condition(ConditionTunnelReady, false, ReasonTunnelPending,
			"No tunnel leads to the endpoint's node yet: if this persists, see the load balancer's condition %s", ConditionTunnelsReady)
	}
	return accepted, tunnel
}

// hasTunnel reports whether a tunnel with an ID leads to a client node from any gateway
// node: the load balancer's own condition covers all of them.
func hasTunnel(status *epicv1.ProxyStatus, node netip.Addr) bool {
	for _, tunnel := range status.GUETunnelEndpoints[node.String()].EPICEndpoints {
		if tunnel.TunnelID != 0 {
			return true
		}
	}
	return false
}

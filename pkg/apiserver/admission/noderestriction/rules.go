// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"context"
	"fmt"
	"maps"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/nodeidentity"
)

var statusPath = field.NewPath("status")

func (w *writer) loadBalancer(ctx context.Context, obj, old *epic.LoadBalancer) *field.Error {
	if problem := w.proxyStatus(ctx, &obj.Status, &old.Status); problem != nil {
		return problem
	}
	// Compare everything but the status, and every status field added in the future.
	rest := *obj
	rest.Status = withInterfaces(&obj.Status, &old.Status)
	rest.ObjectMeta = written(&obj.ObjectMeta, &old.ObjectMeta)
	return same(&rest, old)
}

func (w *writer) gwProxy(ctx context.Context, obj, old *epic.GWProxy) *field.Error {
	if problem := w.proxyStatus(ctx, &obj.Status, &old.Status); problem != nil {
		return problem
	}
	rest := *obj
	rest.Status = withInterfaces(&obj.Status, &old.Status)
	rest.ObjectMeta = written(&obj.ObjectMeta, &old.ObjectMeta)
	return same(&rest, old)
}

func installation(node *nodeidentity.Node, obj, old *epic.EPIC) *field.Error {
	path := statusPath.Child("nodes")
	for _, address := range keys(obj.Status.Nodes, old.Status.Nodes) {
		now, is := obj.Status.Nodes[address]
		before, was := old.Status.Nodes[address]
		if is == was && apiequality.Semantic.DeepEqual(now, before) || node.Has(address) {
			continue
		}
		return field.Forbidden(path.Key(address), "is not this node's entry: write the entry whose key is the node's own address")
	}
	for _, part := range []struct {
		name     string
		now, old any
	}{
		{"conditions", obj.Status.Conditions, old.Status.Conditions},
		{"observedGeneration", obj.Status.ObservedGeneration, old.Status.ObservedGeneration},
	} {
		if !apiequality.Semantic.DeepEqual(part.now, part.old) {
			return notTheNodes(part.name)
		}
	}
	rest := *obj
	rest.Status.Nodes = old.Status.Nodes
	rest.ObjectMeta = written(&obj.ObjectMeta, &old.ObjectMeta)
	return same(&rest, old)
}

// newReport checks a GatewayNode object that a node creates to report in: it may only
// contain the node's own name and address.
func newReport(node *nodeidentity.Node, obj *epic.GatewayNode) *field.Error {
	if problem := ownReport(node, obj); problem != nil {
		return problem
	}
	m := &obj.ObjectMeta
	if len(m.Labels)+len(m.Annotations)+len(m.Finalizers)+len(m.OwnerReferences) > 0 {
		return field.Forbidden(field.NewPath("metadata"), "has labels, annotations, finalizers or owner references, which a node can't write: leave them out")
	}
	return nil
}

// report checks a change of a node's own report: the node may write the whole status.
func report(node *nodeidentity.Node, obj, old *epic.GatewayNode) *field.Error {
	if problem := ownReport(node, old); problem != nil {
		return problem
	}
	rest := *obj
	rest.Status = old.Status
	rest.ObjectMeta = written(&obj.ObjectMeta, &old.ObjectMeta)
	return same(&rest, old)
}

// ownReport checks that an object is the node's own report. Validation ensures that the
// address and the name match.
func ownReport(node *nodeidentity.Node, obj *epic.GatewayNode) *field.Error {
	if node.Has(obj.Spec.Address) {
		return nil
	}
	return field.Forbidden(field.NewPath("spec", "address"), fmt.Sprintf("is %q, so the object belongs to another node: write the object that is named after an address of this node", obj.Spec.Address))
}

// proxyStatus checks what a node changes in the status of a load balancer or a gateway
// proxy: only its own entries of proxy-if-info.
func (w *writer) proxyStatus(ctx context.Context, status, old *epic.ProxyStatus) *field.Error {
	path := statusPath.Child("proxy-if-info")
	for _, pod := range keys(status.ProxyIfInfo, old.ProxyIfInfo) {
		now, is := status.ProxyIfInfo[pod]
		before, was := old.ProxyIfInfo[pod]
		if is == was && now == before {
			continue
		}
		own := !was || w.Has(before.EPICNodeAddress)
		at := path.Key(pod).Child("epic-node-address")
		switch {
		case !is && !own:
			return foreign(at, before)
		case !is:
			continue
		case !w.Has(now.EPICNodeAddress):
			// An entry without a node belongs to no node.
			if !own {
				return foreign(at, before)
			}
			return field.Forbidden(at, fmt.Sprintf("is %q, which is not an address of this node: a node can't write another node's entries", now.EPICNodeAddress))
		}
		// A node can't change placements: all other fields are compared below. A proxy
		// that runs on this node may replace the entry that another node left behind.
		switch err := w.runs(ctx, old.ProxyPlacements, pod, now.EPICNodeAddress); {
		case err != nil && !own:
			return foreign(at, before)
		case err != nil:
			return field.Forbidden(path.Key(pod), fmt.Sprintf("is the entry of a proxy that does not run on this node: %v", err))
		}
	}
	// With entries, these two fields are copies of the first. Without, they are unchanged
	// or empty.
	copied := len(status.ProxyIfInfo) > 0
	kept := status.ProxyIfIndex == old.ProxyIfIndex && status.ProxyIfName == old.ProxyIfName
	cleared := status.ProxyIfIndex == 0 && status.ProxyIfName == ""
	if !copied && !kept && !cleared {
		return field.Forbidden(statusPath.Child("proxy-ifindex"), "and proxy-ifname must repeat an entry of proxy-if-info, and there is none: leave them out")
	}
	for _, part := range []struct {
		name     string
		now, old any
	}{
		{"gue-tunnel-endpoints", status.GUETunnelEndpoints, old.GUETunnelEndpoints},
		{"proxy-placements", status.ProxyPlacements, old.ProxyPlacements},
		{"quota-place", status.QuotaPlace, old.QuotaPlace},
		{"observedGeneration", status.ObservedGeneration, old.ObservedGeneration},
		{"conditions", status.Conditions, old.Conditions},
		{"envoy", status.Envoy, old.Envoy},
		{"listeners", status.Listeners, old.Listeners},
	} {
		if !apiequality.Semantic.DeepEqual(part.now, part.old) {
			return notTheNodes(part.name)
		}
	}
	return nil
}

func foreign(at *field.Path, before epic.ProxyInterfaceInfo) *field.Error {
	return field.Forbidden(at, fmt.Sprintf("is %q, so the entry belongs to another node, and only that node can change or remove it while the proxy runs there", before.EPICNodeAddress))
}

func notTheNodes(name string) *field.Error {
	return field.Forbidden(statusPath.Child(name), "can't be written by a node: leave it unchanged")
}

// withInterfaces returns status with the interfaces of old, which are checked separately.
func withInterfaces(status, old *epic.ProxyStatus) epic.ProxyStatus {
	out := *status
	out.ProxyIfInfo, out.ProxyIfIndex, out.ProxyIfName = old.ProxyIfInfo, old.ProxyIfIndex, old.ProxyIfName
	return out
}

// written returns metadata without the fields that every write changes: the version it is
// based on, and the field managers.
func written(m, old *metav1.ObjectMeta) metav1.ObjectMeta {
	out := *m
	out.ResourceVersion, out.ManagedFields = old.ResourceVersion, old.ManagedFields
	return out
}

func same(obj, old any) *field.Error {
	if apiequality.Semantic.DeepEqual(obj, old) {
		return nil
	}
	return field.Forbidden(field.NewPath("metadata"), "and spec, like all other fields, can't be written by a node: leave them unchanged")
}

// keys returns the distinct keys of two maps, in order.
func keys[V any](a, b map[string]V) []string {
	all := map[string]bool{}
	for k := range a {
		all[k] = true
	}
	for k := range b {
		all[k] = true
	}
	return slices.Sorted(maps.Keys(all))
}

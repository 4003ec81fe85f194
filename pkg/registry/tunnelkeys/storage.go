// SPDX-License-Identifier: Apache-2.0

package tunnelkeys

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/placement"
	"github.com/acnodal/epic/pkg/tunnelkey"
)

// Subresource is the name under which the keys are served.
const Subresource = "tunnelkeys"

// Masters has the master keys.
type Masters interface {
	Current() (*tunnelkey.Masters, error)
}

// Identifier distinguishes nodes from other users.
type Identifier interface {
	Identify(ctx context.Context, u user.Info) (*nodeidentity.Node, error)
}

// Placements decides whether proxies run on a node.
type Placements interface {
	Runs(ctx context.Context, object placement.Object, placements map[string]string, proxies []string, node string) (bool, error)
}

// REST serves the keys of one kind's objects.
type REST struct {
	resource   schema.GroupResource
	objects    rest.Getter
	masters    Masters
	nodes      Identifier
	placements Placements
}

var (
	_ rest.Storage = &REST{}
	_ rest.Getter  = &REST{}
)

// NewREST returns the subresource of a kind whose objects the getter reads.
func NewREST(resource string, objects rest.Getter, masters Masters, nodes Identifier, placements Placements) *REST {
	return &REST{resource: epic.Resource(resource), objects: objects, masters: masters, nodes: nodes, placements: placements}
}

// New implements rest.Storage.
func (*REST) New() runtime.Object { return &epic.TunnelKeys{} }

// Destroy implements rest.Storage.
func (*REST) Destroy() {}

// Get implements rest.Getter.
func (r *REST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	node, err := r.sender(ctx, name)
	if err != nil {
		return nil, err
	}
	// Do not use a cache: a tunnel that was created a moment ago must have keys.
	obj, err := r.objects.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	masters, err := r.masters.Current()
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(err.Error())
	}
	var m *metav1.ObjectMeta
	var status *epic.ProxyStatus
	switch o := obj.(type) {
	case *epic.LoadBalancer:
		m, status = &o.ObjectMeta, &o.Status
	case *epic.GWProxy:
		m, status = &o.ObjectMeta, &o.Status
	default:
		return nil, apierrors.NewInternalError(fmt.Errorf("%T has no tunnels", obj))
	}
	mayHave, err := r.filter(ctx, node, obj, m, status)
	if err != nil {
		return nil, err
	}
	return keysOf(m, status, masters, mayHave)
}

// sender returns the node that sent a request, or nil if the sender is not a node.
func (r *REST) sender(ctx context.Context, name string) (*nodeidentity.Node, error) {
	sender, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewForbidden(r.resource, name, fmt.Errorf("%s require an authenticated user, and this request has none", Subresource))
	}
	node, err := r.nodes.Identify(ctx, sender)
	switch {
	case err != nil:
		return nil, apierrors.NewForbidden(r.resource, name, fmt.Errorf("credentials that do not identify a node get no %s: %w", Subresource, err))
	case node != nil && node.Tenant != "" && node.Tenant != genericapirequest.NamespaceValue(ctx):
		return nil, apierrors.NewForbidden(r.resource, name, fmt.Errorf("%s is a node of namespace %s and only gets %s of that namespace", node, node.Tenant, Subresource))
	}
	return node, nil
}

// filter returns a function that reports which tunnels' keys a node may have, by the
// addresses of their ends. A gateway node gets those of tunnels that end on it, and only
// while a proxy of the object runs on it: the node's own report is not sufficient,
// because the node may be compromised. A client node gets those of tunnels whose client
// end it is. A tenant chooses the addresses of its own nodes, so an address must not give
// it access to keys of a gateway node. A host with a certificate may be either; the
// administrator vouches for its address.
func (r *REST) filter(ctx context.Context, node *nodeidentity.Node, obj runtime.Object, m *metav1.ObjectMeta, status *epic.ProxyStatus) (func(tenantNode, epicNode string) bool, error) {
	switch {
	case node == nil:
		return func(string, string) bool { return true }, nil
	case node.Tenant != "":
		uses := node.Cluster == "" || usedBy(obj, node.Cluster)
		return func(tenantNode, _ string) bool { return uses && node.Has(tenantNode) }, nil
	}
	object := placement.Object{Resource: r.resource.Resource, Namespace: m.Namespace, Name: m.Name}
	proxies := map[string][]string{}
	for _, proxy := range slices.Sorted(maps.Keys(status.ProxyIfInfo)) {
		if address := status.ProxyIfInfo[proxy].EPICNodeAddress; node.Has(address) {
			proxies[address] = append(proxies[address], proxy)
		}
	}
	runs := map[string]bool{}
	for address, names := range proxies {
		var err error
		if runs[address], err = r.placements.Runs(ctx, object, status.ProxyPlacements, names, address); err != nil {
			return nil, err
		}
	}
	return func(tenantNode, epicNode string) bool { return runs[epicNode] || node.Host && node.Has(tenantNode) }, nil
}

// usedBy reports whether a client cluster publishes through an object.
func usedBy(obj runtime.Object, cluster string) bool {
	switch o := obj.(type) {
	case *epic.LoadBalancer:
		return slices.Contains(o.Spec.UpstreamClusters, cluster)
	case *epic.GWProxy:
		return epic.ProxyOf(o, cluster)
	}
	return false
}

func keysOf(m *metav1.ObjectMeta, status *epic.ProxyStatus, masters *tunnelkey.Masters, mayHave func(tenantNode, epicNode string) bool) (runtime.Object, error) {
	out := &epic.TunnelKeys{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion},
		// Encode an empty list, not null.
		Tunnels: []epic.TunnelKeySet{},
	}
	for tenantNode, endpoint := range status.GUETunnelEndpoints {
		for epicNode, pair := range endpoint.EPICEndpoints {
			if pair.TunnelID == 0 || !mayHave(tenantNode, epicNode) {
				continue
			}
			keys, err := masters.Derive(m.UID, pair.TunnelID)
			if err != nil {
				return nil, apierrors.NewInternalError(err)
			}
			set := epic.TunnelKeySet{TunnelID: pair.TunnelID, TenantNode: tenantNode, EPICNode: epicNode}
			for _, key := range keys {
				set.Keys = append(set.Keys, epic.TunnelKey{ID: key.ID, Key: key.Secret})
			}
			out.Tunnels = append(out.Tunnels, set)
		}
	}
	slices.SortFunc(out.Tunnels, func(a, b epic.TunnelKeySet) int { return cmp.Compare(a.TunnelID, b.TunnelID) })
	return out, nil
}

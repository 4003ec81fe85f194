// SPDX-License-Identifier: Apache-2.0

package tunnelkeys

import (
	"cmp"
	"context"
	"fmt"
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
	"github.com/acnodal/epic/pkg/tunnelkey"
)

// Subresource is the name under which the keys are served.
const Subresource = "tunnelkeys"

// Masters has the master keys.
type Masters interface {
	Current() (*tunnelkey.Masters, error)
}

// Identifier tells nodes from other users.
type Identifier interface {
	Identify(ctx context.Context, u user.Info) (*nodeidentity.Node, error)
}

// REST serves the keys of one kind's objects.
type REST struct {
	resource schema.GroupResource
	objects  rest.Getter
	masters  Masters
	nodes    Identifier
}

var (
	_ rest.Storage = &REST{}
	_ rest.Getter  = &REST{}
)

// NewREST returns the subresource of a kind whose objects the getter reads.
func NewREST(resource string, objects rest.Getter, masters Masters, nodes Identifier) *REST {
	return &REST{resource: epic.Resource(resource), objects: objects, masters: masters, nodes: nodes}
}

// New implements rest.Storage.
func (*REST) New() runtime.Object { return &epic.TunnelKeys{} }

// Destroy implements rest.Storage.
func (*REST) Destroy() {}

// Get implements rest.Getter.
func (r *REST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	mayHave, err := r.filter(ctx, name)
	if err != nil {
		return nil, err
	}
	// Never from a cache: a tunnel that was made a moment ago has keys.
	obj, err := r.objects.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	masters, err := r.masters.Current()
	if err != nil {
		return nil, apierrors.NewServiceUnavailable(err.Error())
	}
	switch o := obj.(type) {
	case *epic.LoadBalancer:
		return keysOf(&o.ObjectMeta, &o.Status, masters, mayHave)
	case *epic.GWProxy:
		return keysOf(&o.ObjectMeta, &o.Status, masters, mayHave)
	}
	return nil, apierrors.NewInternalError(fmt.Errorf("%T has no tunnels", obj))
}

// filter says which tunnels' keys the sender of a request may have, by the
// addresses of their ends.
func (r *REST) filter(ctx context.Context, name string) (func(tenantNode, epicNode string) bool, error) {
	sender, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewForbidden(r.resource, name, fmt.Errorf("%s are for somebody who can be told, and this request has no user", Subresource))
	}
	node, err := r.nodes.Identify(ctx, sender)
	switch {
	case err != nil:
		return nil, apierrors.NewForbidden(r.resource, name, fmt.Errorf("no %s for credentials that name no node: %w", Subresource, err))
	case node == nil:
		return func(string, string) bool { return true }, nil
	case node.Tenant == "":
		return func(tenantNode, epicNode string) bool { return node.Has(tenantNode) || node.Has(epicNode) }, nil
	case node.Tenant != genericapirequest.NamespaceValue(ctx):
		return nil, apierrors.NewForbidden(r.resource, name, fmt.Errorf("%s is a node of namespace %s and gets %s of that namespace only", node, node.Tenant, Subresource))
	}
	// A tenant chooses the names of its nodes, and so must not come by an
	// address to what is a gateway node's.
	return func(tenantNode, _ string) bool { return node.Has(tenantNode) }, nil
}

func keysOf(m *metav1.ObjectMeta, status *epic.ProxyStatus, masters *tunnelkey.Masters, mayHave func(tenantNode, epicNode string) bool) (runtime.Object, error) {
	out := &epic.TunnelKeys{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion},
		// Not null where there are none.
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

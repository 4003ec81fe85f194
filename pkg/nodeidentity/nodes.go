// SPDX-License-Identifier: Apache-2.0

package nodeidentity

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
)

// byAddress is the name of the index of Nodes by their addresses.
const byAddress = "epic-address"

// clusterNodes reads addresses from Node objects.
type clusterNodes struct {
	indexer cache.Indexer
	client  coreclient.NodeInterface
}

// NewClusterNodes returns Addresses that uses an informer, which must not have been
// started, and the client for a Node that is too new for it.
//
// A node may write the addresses in its own Node object. So an address that two Nodes
// have belongs to neither: otherwise, a compromised node could impersonate another.
func NewClusterNodes(informer coreinformers.NodeInformer, client coreclient.NodeInterface) (Addresses, error) {
	shared := informer.Informer()
	if err := shared.SetTransform(slim); err != nil {
		return nil, fmt.Errorf("can't set up the watch on Nodes: %w", err)
	}
	if err := shared.AddIndexers(cache.Indexers{byAddress: indexKeys}); err != nil {
		return nil, fmt.Errorf("can't set up the watch on Nodes: %w", err)
	}
	return &clusterNodes{indexer: shared.GetIndexer(), client: client}, nil
}

// slim keeps the parts of a Node that the server uses, here and to reject endpoints in
// the gateway cluster. Images and conditions are most of a Node.
func slim(obj any) (any, error) {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return obj, nil
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, UID: node.UID, ResourceVersion: node.ResourceVersion},
		Spec:       corev1.NodeSpec{PodCIDR: node.Spec.PodCIDR, PodCIDRs: node.Spec.PodCIDRs},
		Status:     corev1.NodeStatus{Addresses: node.Status.Addresses},
	}, nil
}

func indexKeys(obj any) ([]string, error) {
	node, ok := obj.(*corev1.Node)
	if !ok {
		return nil, fmt.Errorf("%T is not a Node", obj)
	}
	var keys []string
	for _, a := range addressesOf(node) {
		keys = append(keys, a.String())
	}
	return keys, nil
}

// addressesOf returns a Node's internal and external addresses.
func addressesOf(node *corev1.Node) []netip.Addr {
	var out []netip.Addr
	for _, address := range node.Status.Addresses {
		if address.Type != corev1.NodeInternalIP && address.Type != corev1.NodeExternalIP {
			continue
		}
		a, err := netip.ParseAddr(address.Address)
		if err != nil {
			continue
		}
		a = a.Unmap().WithZone("")
		if _, err := ParseAddress(a.String()); err == nil && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// Addresses implements Addresses.
func (c *clusterNodes) Addresses(ctx context.Context, name string) ([]netip.Addr, error) {
	node, err := c.node(ctx, name)
	if err != nil {
		return nil, err
	}
	var own []netip.Addr
	var shared []error
	for _, a := range addressesOf(node) {
		others, err := c.indexer.IndexKeys(byAddress, a.String())
		if err != nil {
			return nil, err
		}
		if i := slices.IndexFunc(others, func(other string) bool { return other != name }); i >= 0 {
			shared = append(shared, fmt.Errorf("the Nodes %s and %s both have the address %s: correct status.addresses of the wrong one", name, others[i], a))
			continue
		}
		own = append(own, a)
	}
	if len(own) == 0 {
		if len(shared) > 0 {
			return nil, errors.Join(shared...)
		}
		return nil, fmt.Errorf("the Node %s has no InternalIP or ExternalIP in status.addresses that identifies it", name)
	}
	return own, nil
}

func (c *clusterNodes) node(ctx context.Context, name string) (*corev1.Node, error) {
	cached, found, err := c.indexer.GetByKey(name)
	if err != nil {
		return nil, err
	}
	if node, ok := cached.(*corev1.Node); found && ok && len(node.Status.Addresses) > 0 {
		return node, nil
	}
	// A Node may be newer than the watch.
	node, err := c.client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("the token belongs to a pod on Node %s, which does not exist", name)
	}
	if err != nil {
		return nil, fmt.Errorf("can't read Node %s, whose addresses determine its permissions: %w", name, err)
	}
	return node, nil
}

// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	corelisters "k8s.io/client-go/listers/core/v1"
)

// Nodes implements Cluster for a server behind a kube-apiserver.
type Nodes struct {
	Lister corelisters.NodeLister
}

var _ Cluster = Nodes{}

// Deny implements Cluster. It denies every address of a Node, of any type, and its pod
// CIDRs. If a network plugin assigns other addresses to pods, the platform team must list
// them in denied-endpoint-cidrs.
func (n Nodes) Deny(d *Denied) error {
	all, err := n.Lister.List(labels.Everything())
	if err != nil {
		return fmt.Errorf("list the gateway cluster's Nodes: %w", err)
	}
	for _, node := range all {
		denyNode(d, node)
	}
	return nil
}

func denyNode(d *Denied, node *corev1.Node) {
	for _, address := range node.Status.Addresses {
		if a, err := netip.ParseAddr(address.Address); err == nil {
			d.AddAddress(a, "an address of a node of the gateway cluster")
		}
	}
	cidrs := node.Spec.PodCIDRs
	if len(cidrs) == 0 && node.Spec.PodCIDR != "" {
		cidrs = []string{node.Spec.PodCIDR}
	}
	for _, cidr := range cidrs {
		if p, err := netip.ParsePrefix(cidr); err == nil {
			d.AddPrefix(p, "a pod address of the gateway cluster")
		}
	}
}

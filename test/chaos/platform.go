// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/test/world"
)

// clientAddress is that of each client node.
const clientAddress = world.NodeAddress

// platform creates what a platform team creates. The pools are small, so tenants get addresses that
// were another's.
func (s *site) platform(ctx context.Context) error {
	api := s.client.EpicV1()
	if _, err := api.EPICs(epic.ConfigNamespace).Create(ctx, &epicv1.EPIC{ObjectMeta: metav1.ObjectMeta{Name: epic.ConfigName}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	pool := func(from, to, subnet, aggregation string) *epicv1.AddressPool {
		return &epicv1.AddressPool{Pool: from + "-" + to, Subnet: subnet, Aggregation: aggregation, MultusBridge: world.Bridge}
	}
	for name, spec := range map[string]epicv1.ServicePrefixSpec{
		"pool": {PublicPool: pool("192.168.77.2", "192.168.77.13", world.PublicPrefix, "/32")},
		"pool6": {
			PublicPool: pool("2001:db8:77::2", "2001:db8:77::17", world.PublicPrefix6, "/128"),
			AltPool:    pool("192.168.77.128", "192.168.77.143", world.PublicPrefix, "/32"),
		},
	} {
		if _, err := api.ServicePrefixes(epic.ConfigNamespace).Create(ctx, &epicv1.ServicePrefix{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec}, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	for group, prefix := range map[string]string{group4: "pool", group6: "pool6"} {
		_, err := api.LBServiceGroups(epic.ConfigNamespace).Create(ctx, &epicv1.LBServiceGroup{
			ObjectMeta: metav1.ObjectMeta{Name: group, Labels: map[string]string{epic.OwningServicePrefixLabel: prefix}},
			Spec:       epicv1.LBServiceGroupSpec{EnvoyReplicaCount: ptr.To[int32](1)},
		}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	// The last account is the hostile one's.
	for i := range s.tenants + 1 {
		_, err := api.Accounts(namespace(i+1)).Create(ctx, &epicv1.Account{ObjectMeta: metav1.ObjectMeta{Name: account(i + 1)}, Spec: epicv1.AccountSpec{ProxyLimit: ptr.To[int32](6)}}, metav1.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return nil
}

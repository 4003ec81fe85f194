// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

const (
	configNamespace = "epic"
	groupName       = "group"
)

// prepareEPIC makes what load balancers need: the installation's configuration,
// a pool of addresses, a group for all accounts, and an account of each name that
// may have a number of load balancers. The namespaces epic-NAME are there already
// where there are any.
func prepareEPIC(ctx context.Context, s *side, limit int32, accounts ...string) error {
	meta := func(kind string) metav1.TypeMeta { return metav1.TypeMeta{APIVersion: s.api, Kind: kind} }
	if err := s.create(ctx, configNamespace, "epics", &epicv1.EPIC{TypeMeta: meta("EPIC"), ObjectMeta: metav1.ObjectMeta{Name: "epic"}}); err != nil {
		return err
	}
	if err := s.create(ctx, configNamespace, "serviceprefixes", &epicv1.ServicePrefix{
		TypeMeta: meta("ServicePrefix"), ObjectMeta: metav1.ObjectMeta{Name: "pool"},
		Spec: epicv1.ServicePrefixSpec{PublicPool: &epicv1.AddressPool{Pool: "10.0.0.0/8", Subnet: "10.0.0.0/8", Aggregation: "default"}},
	}); err != nil {
		return err
	}
	replicas := int32(1)
	if err := s.create(ctx, configNamespace, "lbservicegroups", &epicv1.LBServiceGroup{
		TypeMeta:   meta("LBServiceGroup"),
		ObjectMeta: metav1.ObjectMeta{Name: groupName, Labels: map[string]string{"epic.acnodal.io/owning-serviceprefix": "pool"}},
		Spec: epicv1.LBServiceGroupSpec{
			EnvoyReplicaCount: &replicas,
			EndpointTemplate:  &epicv1.DNSEndpoint{DNSName: "{{.LBName}}.{{.Account}}.example.com", RecordTTL: 180, RecordType: "A"},
		},
	}); err != nil {
		return err
	}
	return parallel(ctx, mostWriters, len(accounts), func(ctx context.Context, i int) error {
		return s.create(ctx, "epic-"+accounts[i], "accounts", &epicv1.Account{
			TypeMeta: meta("Account"), ObjectMeta: metav1.ObjectMeta{Name: accounts[i]}, Spec: epicv1.AccountSpec{ProxyLimit: &limit},
		})
	})
}

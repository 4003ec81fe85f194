// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validServicePrefix() *epic.ServicePrefix {
	return &epic.ServicePrefix{ObjectMeta: meta("epic", "default"), Spec: epic.ServicePrefixSpec{
		PublicPool: &epic.AddressPool{Pool: "2001:db8::/64", Subnet: "2001:db8::/64", Aggregation: "default", MultusBridge: "multus0"},
		AltPool:    &epic.AddressPool{Pool: "192.168.77.2-192.168.77.9", Subnet: "192.168.77.0/24", Aggregation: "/32"},
	}}
}

func TestServicePrefix(t *testing.T) {
	public := func(p epic.AddressPool) func(*epic.ServicePrefix) {
		return func(o *epic.ServicePrefix) { o.Spec.PublicPool = &p }
	}
	alt := func(p epic.AddressPool) func(*epic.ServicePrefix) {
		return func(o *epic.ServicePrefix) { o.Spec.AltPool = &p }
	}
	cases := []change[epic.ServicePrefix]{
		{"empty spec", func(o *epic.ServicePrefix) { o.Spec = epic.ServicePrefixSpec{} }, "", ""},
		{"v4 range", public(epic.AddressPool{Pool: "192.0.2.5-192.0.2.9", Subnet: "192.0.2.0/24", Aggregation: "/32"}), "", ""},
		{"v4 CIDR", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24", Aggregation: "/24"}), "", ""},
		{"one address", public(epic.AddressPool{Pool: "192.0.2.5-192.0.2.5", Subnet: "192.0.2.0/24", Aggregation: "/32"}), "", ""},
		{"the whole of v6", public(epic.AddressPool{Pool: "2000::/3", Subnet: "2000::/3", Aggregation: "/3"}), "", ""},
		{"a mask wider than the subnet", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24", Aggregation: "/23"}), "spec.public-pool.aggregation", "wider than the subnet 192.0.2.0/24"},
		{"a mask for the node's own traffic", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24", Aggregation: "/8"}), "spec.public-pool.aggregation", "a mask from /24 to /32"},
		{"a v6 mask wider than the subnet", public(epic.AddressPool{Pool: "2001:db8::/64", Subnet: "2001:db8::/64", Aggregation: "/48"}), "spec.public-pool.aggregation", "wider than the subnet"},
		{"an alternate mask wider than the subnet", alt(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24", Aggregation: "/0"}), "spec.alt-pool.aggregation", "wider than the subnet"},
		{"no pool", public(epic.AddressPool{Subnet: "192.0.2.0/24", Aggregation: "/32"}), "spec.public-pool.pool", "Required"},
		{"text", public(epic.AddressPool{Pool: "some", Subnet: "192.0.2.0/24", Aggregation: "/32"}), "spec.public-pool.pool", "is not a CIDR"},
		{"long text", public(epic.AddressPool{Pool: long(100000), Subnet: "192.0.2.0/24", Aggregation: "/32"}), "spec.public-pool.pool", "shorten"},
		{"backwards", public(epic.AddressPool{Pool: "192.0.2.9-192.0.2.5", Subnet: "192.0.2.0/24", Aggregation: "/32"}), "spec.public-pool.pool", "before the start"},
		{"different address families", public(epic.AddressPool{Pool: "192.0.2.9-2001:db8::1", Subnet: "192.0.2.0/24", Aggregation: "/32"}), "spec.public-pool.pool", "families"},
		{"multicast", public(epic.AddressPool{Pool: "224.0.0.0/8", Subnet: "224.0.0.0/8", Aggregation: "/32"}), "spec.public-pool.pool", "unicast"},
		{"loopback", public(epic.AddressPool{Pool: "127.0.0.0/8", Subnet: "127.0.0.0/8", Aggregation: "/32"}), "spec.public-pool.pool", "unicast"},
		{"no subnet", public(epic.AddressPool{Pool: "192.0.2.0/28", Aggregation: "/32"}), "spec.public-pool.subnet", "Required"},
		{"outside its subnet", public(epic.AddressPool{Pool: "192.0.3.0/28", Subnet: "192.0.2.0/24", Aggregation: "/32"}), "spec.public-pool.pool", "is not in the subnet 192.0.2.0/24"},
		{"begins outside", public(epic.AddressPool{Pool: "192.0.1.250-192.0.2.5", Subnet: "192.0.2.0/24", Aggregation: "/32"}), "spec.public-pool.pool", "is not in the subnet"},
		{"half outside", public(epic.AddressPool{Pool: "192.0.2.250-192.0.3.5", Subnet: "192.0.2.0/24", Aggregation: "/32"}), "spec.public-pool.pool", "is not in the subnet"},
		{"subnet of the other family", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "2001:db8::/64", Aggregation: "default"}), "spec.public-pool.pool", "is not in the subnet"},
		{"no aggregation", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24"}), "spec.public-pool.aggregation", "Required"},
		{"bare number", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24", Aggregation: "32"}), "spec.public-pool.aggregation", "from /24 to /32"},
		{"mask of the other family", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24", Aggregation: "/64"}), "spec.public-pool.aggregation", "from /24 to /32"},
		{"odd mask", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24", Aggregation: "/+24"}), "spec.public-pool.aggregation", "from /24 to /32"},
		{"bad bridge", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24", Aggregation: "/32", MultusBridge: "$(reboot)"}), "spec.public-pool.multus-bridge", "network interface"},
		{"long bridge", public(epic.AddressPool{Pool: "192.0.2.0/28", Subnet: "192.0.2.0/24", Aggregation: "/32", MultusBridge: long(16)}), "spec.public-pool.multus-bridge", "network interface"},
		{"alt pool of v6", alt(epic.AddressPool{Pool: "2001:db9::/120", Subnet: "2001:db9::/64", Aggregation: "default"}), "spec.alt-pool.pool", "IPv4"},
		{"alt pool in the public one", func(o *epic.ServicePrefix) {
			o.Spec.PublicPool = &epic.AddressPool{Pool: "192.168.77.9-192.168.77.20", Subnet: "192.168.77.0/24", Aggregation: "default"}
		}, "spec.alt-pool.pool", "overlaps public-pool"},
	}
	creations(t, validServicePrefix, ValidateServicePrefix, append([]change[epic.ServicePrefix]{
		{"another namespace", func(o *epic.ServicePrefix) { o.Namespace = "epic-a" }, "metadata.namespace", "belongs in the namespace epic"},
		{"dots in the name", func(o *epic.ServicePrefix) { o.Name = "a.b" }, "metadata.name", "dots"},
	}, cases...))
	updates(t, validServicePrefix, ValidateServicePrefixUpdate, cases)
	updates(t, validServicePrefix, ValidateServicePrefixStatusUpdate, []change[epic.ServicePrefix]{
		{"condition", func(o *epic.ServicePrefix) { o.Status.Conditions = append(o.Status.Conditions, condition()) }, "", ""},
		{"generation", func(o *epic.ServicePrefix) { o.Status.ObservedGeneration = -1 }, "status.observedGeneration", "negative"},
	})
}

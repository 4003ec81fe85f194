// SPDX-License-Identifier: Apache-2.0

package serviceprefix

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

type object = epic.ServicePrefix

func newTable() rest.TableConvertor {
	public := func(part func(*epic.AddressPool) string) func(*object) string {
		return func(o *object) string { return partOf(o.Spec.PublicPool, part) }
	}
	alt := func(part func(*epic.AddressPool) string) func(*object) string {
		return func(o *object) string { return partOf(o.Spec.AltPool, part) }
	}
	return kind.NewTable[object](epic.ResourceServicePrefixes,
		kind.Text("Public Pool", "The addresses from which proxies get their public address.", public(pool)),
		kind.Text("Alt Pool", "The IPv4 addresses in addition to IPv6 public addresses.", alt(pool)),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Text("Subnet", "The subnet of the public pool.", public(subnet)).Wide(),
		kind.Text("Aggregation", "The mask that is announced for an address of the public pool.", public(aggregation)).Wide(),
		kind.Text("Bridge", "The bridge on gateway nodes for the public pool.", public(bridge)).Wide(),
		kind.Text("Alt Subnet", "The subnet of the alternate pool.", alt(subnet)).Wide(),
	)
}

func partOf(p *epic.AddressPool, part func(*epic.AddressPool) string) string {
	if p == nil {
		return ""
	}
	return part(p)
}

func pool(p *epic.AddressPool) string        { return p.Pool }
func subnet(p *epic.AddressPool) string      { return p.Subnet }
func aggregation(p *epic.AddressPool) string { return p.Aggregation }
func bridge(p *epic.AddressPool) string      { return p.MultusBridge }

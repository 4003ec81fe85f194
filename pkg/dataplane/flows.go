// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// newFlows returns the maps in which the programs of a gateway record which of several
// pods of a proxy has a flow. Each address that several interfaces have has its own map.
func newFlows(role Role, m *bpf.KernelMaps, spec *ebpf.CollectionSpec, proxies *table[uint32, bpf.KernelProxy]) (*byAddress, error) {
	return (&byAddress{
		role: role, what: "flows", maps: m.ProxyFlows, counts: m.FlowCounts,
		spec:   spec.Maps[bpf.KernelMapProxyFlows].InnerMap,
		former: bpf.KernelMapFlows, destination: unsafe.Offsetof(bpf.KernelFlow{}.Destination),
		wanted: func() map[[16]byte]struct{} { return addressesOfAtLeast(2, proxies) },
	}).adopted()
}

// FlowCounts implements Observer.
func (d *DataPlane) FlowCounts() ([]AddressCounts, error) { return d.flows.list() }

// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/acnodal/epic/bpf"
)

// newFragments returns the maps in which the programs of a gateway record the destination
// of the remaining fragments of a packet. Each address of a proxy has its own map.
func newFragments(role Role, m *bpf.KernelMaps, spec *ebpf.CollectionSpec, proxies *table[uint32, bpf.KernelProxy]) (*byAddress, error) {
	return (&byAddress{
		role: role, what: "fragments", maps: m.ProxyFragments, counts: m.FragmentCounts,
		spec:   spec.Maps[bpf.KernelMapProxyFragments].InnerMap,
		former: bpf.KernelMapFragmented, destination: unsafe.Offsetof(bpf.KernelFragments{}.Destination),
		wanted: func() map[[16]byte]struct{} { return addressesOfAtLeast(1, proxies) },
	}).adopted()
}

// FragmentCounts implements Observer.
func (d *DataPlane) FragmentCounts() ([]AddressCounts, error) { return d.fragments.list() }

// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/bpf"
)

// Handles of this package's filters on an interface. Other programs use other handles.
const (
	filterHandle   = 0xe91c
	filterPriority = 1
	// guardPriority comes after all others: the guard must not see packets that they send
	// into a tunnel.
	guardPriority = 0xe91c
)

func filterOf(key bpf.KernelAttachmentKey) *netlink.BpfFilter {
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: int(key.Ifindex),
			Parent:    netlink.HANDLE_MIN_INGRESS,
			Handle:    filterHandle,
			Protocol:  unix.ETH_P_ALL,
			Priority:  filterPriority,
		},
		DirectAction: true,
	}
	switch key.Hook {
	case bpf.KernelHookHOOK_UNDERLAY_EGRESS:
		filter.Parent = netlink.HANDLE_MIN_EGRESS
	case hookGuard:
		filter.Parent, filter.Priority = netlink.HANDLE_MIN_EGRESS, guardPriority
	}
	return filter
}

func clsact(ifindex uint32) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: int(ifindex),
		Handle:    netlink.MakeHandle(0xffff, 0),
		Parent:    netlink.HANDLE_CLSACT,
	}}
}

// addFilter sets the program of a hook's filter and replaces an existing one. It reports
// whether it had to create the qdisc.
func addFilter(key bpf.KernelAttachmentKey, program *ebpf.Program) (made bool, err error) {
	err = netlink.QdiscAdd(clsact(key.Ifindex))
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return false, fmt.Errorf("create the clsact qdisc: %w", err)
	}
	made = err == nil
	filter := filterOf(key)
	filter.Fd = program.FD()
	filter.Name = "epic_" + hookNames[key.Hook]
	if err := netlink.FilterReplace(filter); err != nil {
		return made, fmt.Errorf("create the filter: %w", err)
	}
	return made, nil
}

// addFilterIfPresent replaces the program of a filter, if there is one.
func addFilterIfPresent(key bpf.KernelAttachmentKey, program *ebpf.Program) error {
	if !filterAttached(key, nil) {
		return nil
	}
	_, err := addFilter(key, program)
	return err
}

// filterAttached reports whether the filter of a hook exists, with the given program if
// any.
func filterAttached(key bpf.KernelAttachmentKey, program *ebpf.Program) bool {
	wanted := filterOf(key)
	filters, err := netlink.FilterList(linkOf(key.Ifindex), wanted.Parent)
	if err != nil {
		return false
	}
	for _, filter := range filters {
		found, ok := filter.(*netlink.BpfFilter)
		if !ok || found.Handle != wanted.Handle || found.Priority != wanted.Priority {
			continue
		}
		if program == nil {
			return true
		}
		info, err := program.Info()
		if err != nil {
			return false
		}
		id, ok := info.ID()
		return ok && int(id) == found.Id
	}
	return false
}

func linkOf(ifindex uint32) netlink.Link {
	return &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: int(ifindex)}}
}

// gone reports whether an error means that the object no longer exists.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL)
}

func deleteFilter(key bpf.KernelAttachmentKey) error {
	if err := netlink.FilterDel(filterOf(key)); err != nil && !gone(err) {
		return fmt.Errorf("delete the filter: %w", err)
	}
	return nil
}

// deleteQdisc deletes the clsact qdisc of an interface if it has no filter.
func deleteQdisc(ifindex uint32) error {
	for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		filters, err := netlink.FilterList(linkOf(ifindex), parent)
		if err == nil && len(filters) > 0 {
			return nil
		}
	}
	if err := netlink.QdiscDel(clsact(ifindex)); err != nil && !gone(err) {
		return fmt.Errorf("delete the clsact qdisc: %w", err)
	}
	return nil
}

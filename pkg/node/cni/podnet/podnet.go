// SPDX-License-Identifier: Apache-2.0

// Package podnet creates the second interface of a proxy's pod, with its addresses and
// routes, and removes it. It makes no decisions: everything is in the plan.
//
// # The pod's routes
//
// A proxy sends all packets through its public interface, because a tenant's pods may
// have any address, including one that a pod of the gateway cluster has. Only the
// networks in the plan (the cluster's Services and the node) stay on the first interface.
// The other routes of the first interface move to a separate table, which is used for
// packets from that interface's address, so probes, scrapes and other connections to the
// pod's cluster address get their replies through the same interface. An address family
// in which the proxy has no public address gets an unreachable default route, so no
// packet can leave through another interface.
package podnet

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/acnodal/epic/pkg/node/cni/wire"
)

// Worker creates and removes attachments.
type Worker struct {
	// Host is the namespace of the host's ends; netns.None() is that of the process.
	Host netns.NsHandle
	// Fault, in tests, makes a step fail.
	Fault func(step string) error
}

func (w *Worker) step(name string, do func() error) error {
	if w.Fault != nil {
		if err := w.Fault(name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// ends are the two namespaces.
type ends struct {
	host, pod *netlink.Handle
	ns        netns.NsHandle
}

func (w *Worker) open(path string) (*ends, error) {
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open the pod's network namespace %s: %w", path, err)
	}
	e := &ends{ns: ns}
	if e.host, err = netlink.NewHandleAt(w.Host, unix.NETLINK_ROUTE); err == nil {
		e.pod, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	}
	if err != nil {
		e.close()
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	return e, nil
}

func (e *ends) close() {
	if e.host != nil {
		e.host.Close()
	}
	if e.pod != nil {
		e.pod.Close()
	}
	_ = e.ns.Close()
}

// NetnsID returns an identifier that distinguishes a namespace from a later one with the
// same path.
func NetnsID(path string) (string, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return "", &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fmt.Sprintf("%d:%d", s.Dev, s.Ino), nil
}

// Attach creates everything in the plan, and returns the index of the host's end. It
// leaves a complete attachment unchanged and recreates an incomplete one. If it fails, it
// removes everything.
func (w *Worker) Attach(path, first string, p *wire.Plan) (index int, err error) {
	e, err := w.open(path)
	if err != nil {
		return 0, err
	}
	defer e.close()
	if old, err := e.host.LinkByName(p.Host); err == nil {
		if !ownEnd(old) {
			return 0, fmt.Errorf("the interface %s exists and does not belong to EPIC: remove it", p.Host)
		}
		if w.check(e, first, p) == nil {
			return old.Attrs().Index, nil
		}
	}
	// This includes leftovers of an attempt that was killed.
	if err := w.undo(e, first, p.Host, p.Name); err != nil {
		return 0, fmt.Errorf("remove leftovers of an earlier attempt: %w", err)
	}
	bridge, err := bridge(e.host, p.Bridge)
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.undo(e, first, p.Host, p.Name))
		}
	}()
	link, err := w.makeVeth(e, bridge, p)
	if err != nil {
		return 0, err
	}
	if err := w.configurePod(e, first, p); err != nil {
		return 0, err
	}
	return link.Attrs().Index, nil
}

func bridge(h *netlink.Handle, name string) (netlink.Link, error) {
	link, err := h.LinkByName(name)
	if err != nil {
		return nil, wire.Again("the bridge %s does not exist yet (%v): the node program creates it from the pool's multus-bridge", name, err)
	}
	if link.Type() != "bridge" {
		return nil, wire.Again("the interface %s is a %s, not a bridge: remove it, or change the pool's multus-bridge", name, link.Type())
	}
	return link, nil
}

// MTU returns the MTU of a bridge, and of its proxies, in bytes.
func (w *Worker) MTU(name string) (int, error) {
	h, err := netlink.NewHandleAt(w.Host, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	link, err := bridge(h, name)
	if err != nil {
		return 0, err
	}
	return link.Attrs().MTU, nil
}

func (w *Worker) makeVeth(e *ends, bridge netlink.Link, p *wire.Plan) (netlink.Link, error) {
	veth := netlink.NewVeth(netlink.LinkAttrs{Name: p.Host, MTU: p.MTU, HardwareAddr: p.HostMAC, TxQLen: -1})
	veth.PeerName, veth.PeerNamespace, veth.PeerHardwareAddr, veth.PeerMTU = p.Name, netlink.NsFd(e.ns), p.MAC, uint32(p.MTU)
	err := w.step("create the interface pair "+p.Host, func() error {
		if _, err := e.pod.LinkByName(p.Name); err == nil {
			return fmt.Errorf("the pod already has an interface %s: remove it from the pod's networks", p.Name)
		}
		return e.host.LinkAdd(veth)
	})
	if err != nil {
		return nil, err
	}
	link, err := e.host.LinkByName(p.Host)
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", p.Host, err)
	}
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"mark it as EPIC's", func() error { return e.host.LinkSetAlias(link, p.Alias) }},
		{"attach it to the bridge " + p.Bridge, func() error { return e.host.LinkSetMaster(link, bridge) }},
		{"isolate it from other proxies", func() error { return e.host.LinkSetIsolated(link, true) }},
		{"switch GRO on", func() error { return inNamespace(w.Host, func() error { return setGRO(p.Host) }) }},
		{"set it up", func() error { return e.host.LinkSetUp(link) }},
	} {
		if err := w.step(s.name, s.do); err != nil {
			return nil, err
		}
	}
	return link, nil
}

func (w *Worker) configurePod(e *ends, first string, p *wire.Plan) error {
	link, err := e.pod.LinkByName(p.Name)
	if err != nil {
		return fmt.Errorf("find %s in the pod: %w", p.Name, err)
	}
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"enable GRO in the pod", func() error { return inNamespace(e.ns, func() error { return setGRO(p.Name) }) }},
		{"enable IPv6 in the pod", func() error {
			if !slices.ContainsFunc(p.Addresses, isIPv6) {
				return nil
			}
			return inNamespace(e.ns, func() error { return enableIPv6(p.Name) })
		}},
		{"set the pod's interface up", func() error { return e.pod.LinkSetUp(link) }},
		{"set the pod's addresses", func() error { return addAddresses(e.pod, link, p) }},
		{"set the pod's gateways", func() error { return addGateways(e.pod, link, p) }},
		{"move the routes of " + first, func() error { return moveRoutes(e.pod, first, p) }},
		{"set the pod's default routes", func() error { return addDefaults(e.pod, link, first, p) }},
	} {
		if err := w.step(s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

// undo removes everything and restores the routes of the first interface.
func (w *Worker) undo(e *ends, first, hostEnd, podEnd string) error {
	err := removeLink(e.host, hostEnd)
	// The pod's end is removed with it, unless the pair was separated.
	if link, e2 := e.pod.LinkByName(podEnd); e2 == nil && link.Type() == "veth" {
		if gone := waitGone(e.pod, podEnd); gone != nil {
			err = errors.Join(err, gone)
		}
	}
	return errors.Join(err, restoreRoutes(e.pod, first))
}

func waitGone(h *netlink.Handle, name string) error {
	if _, err := h.LinkByName(name); err == nil {
		return fmt.Errorf("the pod already has an interface %s that does not belong to EPIC: remove it from the pod's networks", name)
	}
	return nil
}

// removeLink deletes a host's end. It ignores one that does not exist or belongs to
// somebody else.
func removeLink(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	if !ownEnd(link) {
		return nil
	}
	if err := h.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// ownEnd reports whether an interface with the name of a host's end is one. Without an
// alias, it was left by a plugin that was killed before it set the alias: the name is a
// hash that nobody else uses.
func ownEnd(link netlink.Link) bool {
	_, own := wire.ParseAlias(link.Attrs().Alias)
	return own || link.Attrs().Alias == ""
}

// Detach removes an attachment or what is left of it. path may be empty if the pod's
// namespace no longer exists.
func (w *Worker) Detach(path string, a wire.Attachment) error {
	if path != "" {
		e, err := w.open(path)
		if err == nil {
			defer e.close()
			err := removeLink(e.host, a.HostName())
			return errors.Join(err, restoreRoutes(e.pod, a.Interface))
		}
		if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	h, err := netlink.NewHandleAt(w.Host, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	return removeLink(h, a.HostName())
}

// Collect removes the host's ends of a network's attachments that are no longer valid,
// and returns how many it removed.
func (w *Worker) Collect(network string, valid []wire.Attachment) (int, error) {
	h, err := netlink.NewHandleAt(w.Host, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer h.Close()
	links, err := h.LinkList()
	// Ends missing from an interrupted list are left to the next collection.
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return 0, fmt.Errorf("list links: %w", err)
	}
	keep := map[string]bool{}
	for _, a := range valid {
		keep[a.HostName()] = true
	}
	removed := 0
	var errs []error
	for _, l := range links {
		a, own := wire.ParseAlias(l.Attrs().Alias)
		if !own || a.Network != network || keep[l.Attrs().Name] {
			continue
		}
		if err := h.LinkDel(l); err != nil && !errors.Is(err, unix.ENODEV) {
			errs = append(errs, fmt.Errorf("remove %s: %w", l.Attrs().Name, err))
			continue
		}
		removed++
	}
	return removed, errors.Join(errs...)
}

// Check returns an error that describes differences between an attachment and its plan.
func (w *Worker) Check(path, first string, p *wire.Plan) error {
	e, err := w.open(path)
	if err != nil {
		return err
	}
	defer e.close()
	return w.check(e, first, p)
}

func (w *Worker) check(e *ends, first string, p *wire.Plan) error {
	link, err := e.host.LinkByName(p.Host)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Host, err)
	}
	bridge, err := e.host.LinkByName(p.Bridge)
	if err != nil {
		return fmt.Errorf("bridge %s: %w", p.Bridge, err)
	}
	a := link.Attrs()
	switch {
	case a.Alias != p.Alias:
		return fmt.Errorf("%s has the alias %q, not %q", p.Host, a.Alias, p.Alias)
	case a.MasterIndex != bridge.Attrs().Index:
		return fmt.Errorf("%s is not attached to the bridge %s", p.Host, p.Bridge)
	case a.Flags&net.FlagUp == 0:
		return fmt.Errorf("%s is down", p.Host)
	}
	end, err := e.pod.LinkByName(p.Name)
	if err != nil {
		return fmt.Errorf("%s in the pod: %w", p.Name, err)
	}
	switch b := end.Attrs(); {
	case !bytes.Equal(b.HardwareAddr, p.MAC):
		return fmt.Errorf("%s in the pod has the hardware address %s, not %s", p.Name, b.HardwareAddr, p.MAC)
	case b.ParentIndex != a.Index:
		return fmt.Errorf("%s in the pod is not the far end of %s", p.Name, p.Host)
	case b.Flags&net.FlagUp == 0:
		return fmt.Errorf("%s in the pod is down", p.Name)
	}
	return checkPod(e.pod, end, first, p)
}

// SPDX-License-Identifier: Apache-2.0

package host

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// reconcilePorts makes the proxies' host ends isolated ports of their bridge.
func (h *Host) reconcilePorts(o *observed) (int, error) {
	isolated, err := h.isolatedPorts()
	if err != nil {
		return 0, fmt.Errorf("list bridge ports: %w", err)
	}
	done := map[int]bool{}
	changed := 0
	var errs []error
	for _, a := range h.desired.Addresses {
		for _, e := range o.ends(a) {
			if done[e.Index] {
				continue
			}
			done[e.Index] = true
			n, err := h.reconcilePort(o, o.links[e.Index], o.bridges[a.Bridge], isolated[e.Index])
			changed += n
			if err != nil {
				errs = append(errs, fmt.Errorf("port %s of bridge %s: %w", o.links[e.Index].Attrs().Name, a.Bridge, err))
			}
		}
	}
	return changed, errors.Join(errs...)
}

func (h *Host) reconcilePort(o *observed, port, bridge netlink.Link, isolated bool) (int, error) {
	a := port.Attrs()
	changed := 0
	if a.MasterIndex != bridge.Attrs().Index {
		if other := o.links[a.MasterIndex]; a.MasterIndex != 0 && other != nil && !ownBridge(other) {
			return 0, fmt.Errorf("it is attached to %s, which does not belong to EPIC: detach it", other.Attrs().Name)
		}
		if err := h.rt.LinkSetMaster(port, bridge); err != nil {
			return 0, h.stillPort(port, bridge, a.MasterIndex, fmt.Errorf("attach it: %w", err))
		}
		changed++
		isolated = false
	}
	if !isolated {
		if err := h.rt.LinkSetIsolated(port, true); err != nil {
			return changed, h.stillPort(port, bridge, bridge.Attrs().Index, fmt.Errorf("isolate it: %w", err))
		}
		changed++
	}
	if a.Flags&net.FlagUp == 0 {
		if err := h.rt.LinkSetUp(port); err != nil {
			return changed, gone(fmt.Errorf("set it up: %w", err))
		}
		changed++
	}
	return changed, nil
}

// stillPort drops the error of a change to a port if the port or the bridge no longer
// exists, or the port has another master by now. The kernel reports that a port without a
// bridge does not support isolation, and that a bridge without an interface is an invalid
// argument. The interface watch then triggers another reconciliation.
func (h *Host) stillPort(port, bridge netlink.Link, master int, err error) error {
	now, e := h.rt.LinkByIndex(port.Attrs().Index)
	if isGone(e) || e == nil && now.Attrs().MasterIndex != master {
		return nil
	}
	if _, e := h.rt.LinkByIndex(bridge.Attrs().Index); isGone(e) {
		return nil
	}
	return err
}

// isGone reports whether a lookup failed because the interface does not exist.
func isGone(err error) bool {
	_, notFound := errors.AsType[netlink.LinkNotFoundError](err)
	return notFound || errors.Is(err, unix.ENODEV)
}

// gone drops the error for an interface that has just vanished: the next list will not
// include it.
func gone(err error) error {
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// isolatedPorts returns the bridge ports that are isolated, with one dump.
func (h *Host) isolatedPorts() (map[int]bool, error) {
	answers, err := dump(func() ([][]byte, error) {
		req := h.request(unix.RTM_GETLINK, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	})
	if err != nil {
		return nil, err
	}
	ports := map[int]bool{}
	for _, m := range answers {
		value, err := nested(m[unix.SizeofIfInfomsg:], unix.IFLA_PROTINFO, nl.IFLA_BRPORT_ISOLATED)
		if err != nil {
			return nil, err
		}
		if len(value) > 0 && value[0] == 1 {
			ports[int(nl.DeserializeIfInfomsg(m).Index)] = true
		}
	}
	return ports, nil
}

// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
)

// Defaults of Options' fields.
const (
	// DefaultPort is the UDP port of tunnels on this node.
	DefaultPort = 6080
	// DefaultPinPath is the directory in which maps and links are pinned.
	DefaultPinPath = "/sys/fs/bpf/epic"
	// DefaultMaxTunnels limits the tunnels of a node.
	DefaultMaxTunnels = 131072
	// DefaultMaxServices limits its services. The address of an endpoint counts as one
	// more, once for each interface or tunnel.
	DefaultMaxServices = 524288
	// DefaultMaxFlows limits the flows that a client node stores. Beyond that, the least
	// recently used is evicted.
	DefaultMaxFlows = 131072
	// DefaultMaxProxyFlows limits the flows that a gateway node stores for one proxy's
	// address, if several pods of the proxy run on the node. They take about 2 MB of the
	// kernel's memory, a small part of what Envoy needs for as many connections.
	DefaultMaxProxyFlows = 16384
	// MaxOpenings limits the published ports of a node's proxies, counted for each
	// address.
	MaxOpenings = 131072
	// MaxDirects limits the endpoints without a tunnel, counted for each proxy's
	// interface.
	MaxDirects = 131072
)

// Hook describes how programs are attached for tc.
type Hook string

// Values of Hook.
const (
	// HookAuto is tcx if the kernel supports it, otherwise clsact.
	HookAuto Hook = ""
	// HookTCX is tcx (Linux 6.6 and later).
	HookTCX Hook = "tcx"
	// HookClsact is a filter of a clsact qdisc.
	HookClsact Hook = "clsact"
)

// XDP defines whether packets are decapsulated by XDP.
type XDP string

// Values of XDP.
const (
	// XDPAuto is native XDP on network cards whose driver supports it without disabling
	// offloads that other traffic needs. It is never used on a veth.
	XDPAuto XDP = ""
	// XDPNative is native XDP everywhere, regardless of the cost for other traffic; it is
	// an error if an interface does not support it.
	XDPNative XDP = "native"
	// XDPOff is tc only.
	XDPOff XDP = "off"
)

// Options configures a data plane. The zero value of each field except Role means its
// default.
type Options struct {
	// Role is the role of this node. Required.
	Role Role
	// Port is the UDP port of all tunnels at this node's end.
	Port uint16
	// PinPath is a directory in a bpffs, which is created if necessary. Only one data
	// plane may use it.
	PinPath string
	// MaxTunnels, MaxServices, MaxFlows and MaxProxyFlows are the limits of the maps.
	// They may change from one Open to the next.
	MaxTunnels, MaxServices, MaxFlows, MaxProxyFlows uint32
	// Hook describes how programs are attached for tc.
	Hook Hook
	// XDP defines whether packets are decapsulated by XDP.
	XDP XDP
	// RequireCookies drops packets without a cookie in all tunnels, regardless of
	// SetCookies.
	RequireCookies bool
}

// complete returns the options with defaults, or an error if they are invalid.
func (o Options) complete() (Options, error) {
	var errs []error
	if o.Role != RoleGateway && o.Role != RoleClient {
		errs = append(errs, fmt.Errorf("role %d: must be RoleGateway or RoleClient", o.Role))
	}
	switch o.Hook {
	case HookAuto, HookTCX, HookClsact:
	default:
		errs = append(errs, fmt.Errorf("hook %q: must be %q, %q or empty", o.Hook, HookTCX, HookClsact))
	}
	switch o.XDP {
	case XDPAuto, XDPNative, XDPOff:
	default:
		errs = append(errs, fmt.Errorf("xdp %q: must be %q, %q or empty", o.XDP, XDPNative, XDPOff))
	}
	setDefault(&o.Port, DefaultPort)
	setDefault(&o.PinPath, DefaultPinPath)
	setDefault(&o.MaxTunnels, DefaultMaxTunnels)
	setDefault(&o.MaxServices, DefaultMaxServices)
	setDefault(&o.MaxFlows, DefaultMaxFlows)
	setDefault(&o.MaxProxyFlows, DefaultMaxProxyFlows)
	return o, errors.Join(errs...)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

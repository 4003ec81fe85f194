// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"errors"
	"fmt"
)

// What Options' fields are if they are zero.
const (
	// DefaultPort is the UDP port of tunnels at this node.
	DefaultPort = 6080
	// DefaultPinPath is where maps and links are pinned.
	DefaultPinPath = "/sys/fs/bpf/epic"
	// DefaultMaxTunnels bounds the tunnels of a node.
	DefaultMaxTunnels = 131072
	// DefaultMaxServices bounds its services. The address of an endpoint counts
	// as one more, once for each interface or tunnel.
	DefaultMaxServices = 524288
	// DefaultMaxFlows bounds the flows that a client node remembers. Beyond, the
	// least recently used is forgotten.
	DefaultMaxFlows = 131072
	// DefaultMaxProxyFlows bounds the flows that a gateway node remembers of one proxy's
	// address, if several pods of the proxy run on the node. They take about 2 MB of the
	// kernel's memory, a small part of what Envoy needs for as many connections.
	DefaultMaxProxyFlows = 16384
	// MaxOpenings bounds the published ports of a node's proxies, each at each address.
	MaxOpenings = 131072
	// MaxDirects bounds the endpoints without a tunnel, each of each proxy's interface.
	MaxDirects = 131072
)

// Hook describes how programs are attached for tc.
type Hook string

// The hooks.
const (
	// HookAuto is tcx where the kernel has it, else clsact.
	HookAuto Hook = ""
	// HookTCX is tcx (Linux 6.6 and later).
	HookTCX Hook = "tcx"
	// HookClsact is a filter of a clsact qdisc.
	HookClsact Hook = "clsact"
)

// XDP reports whether packets are taken out of tunnels by XDP.
type XDP string

// The choices for XDP.
const (
	// XDPAuto is native XDP on network cards whose driver runs it without switching off
	// offloads that other traffic needs. It is never used on a veth.
	XDPAuto XDP = ""
	// XDPNative is native XDP everywhere, whatever it costs other traffic; an interface
	// that can't is an error.
	XDPNative XDP = "native"
	// XDPOff is tc only.
	XDPOff XDP = "off"
)

// Options describe what a data plane is like. The zero value of each field but Role
// stands for its default.
type Options struct {
	// Role is this node's. Required.
	Role Role
	// Port is the UDP port of all tunnels at this node's end.
	Port uint16
	// PinPath is a directory in a bpffs, which is made if need be. A data plane
	// owns it alone.
	PinPath string
	// MaxTunnels, MaxServices, MaxFlows and MaxProxyFlows are the limits of the maps. They
	// may change from one Open to the next.
	MaxTunnels, MaxServices, MaxFlows, MaxProxyFlows uint32
	// Hook describes how programs are attached for tc.
	Hook Hook
	// XDP reports whether packets are taken out of tunnels by XDP.
	XDP XDP
	// RequireCookies refuses packets without a cookie in all tunnels, whatever SetCookies
	// says of one.
	RequireCookies bool
}

// complete fills in defaults, and describes what is wrong.
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

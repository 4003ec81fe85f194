// SPDX-License-Identifier: Apache-2.0

package host

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Numbers of settings in IFLA_INET_CONF, from linux/ip.h.
const (
	devconfForwarding = 1
	devconfProxyARP   = 3
	devconfRedirects  = 5
)

// IFLA_INET_CONF is the one attribute of the IPv4 part of IFLA_AF_SPEC.
const iflaInetConf = 1

// Attributes of RTM_SETNEIGHTBL, as in the kernel's header of neighbor tables.
const (
	ndtaName        = 1
	ndtaParms       = 6
	ndtpaIfindex    = 1
	ndtpaProxyDelay = 13
	rtmGetNeighTbl  = 66
	rtmSetNeighTbl  = 67
	sizeofNdtmsg    = 4
	arpTable        = "arp_cache"
)

// wantedDevconf is set on EPIC's bridges: packets of proxies are forwarded; a proxy that
// resolves its gateway by ARP gets an answer, regardless of the gateway's address; and no
// proxy is redirected to another proxy.
var wantedDevconf = map[int]uint32{
	devconfForwarding: 1,
	devconfProxyARP:   1,
	devconfRedirects:  0,
}

// reconcileDevconf sets the IPv4 settings of an interface. It uses netlink, because
// /proc/sys is read-only in a container that is not privileged.
func (h *Host) reconcileDevconf(index int) (int, error) {
	have, err := h.devconf(index)
	if err != nil {
		return 0, fmt.Errorf("read its IPv4 settings: %w", err)
	}
	changed := 0
	for id, want := range wantedDevconf {
		if id <= len(have) && have[id-1] == want {
			continue
		}
		if err := h.setDevconf(index, id, want); err != nil {
			return changed, fmt.Errorf("change its IPv4 settings: %w", err)
		}
		changed++
	}
	// Without this setting, proxy ARP answers are delayed by up to 0.8 s.
	delay, err := h.proxyDelay(index)
	if err != nil {
		return changed, fmt.Errorf("read its ARP settings: %w", err)
	}
	if delay != 0 {
		if err := h.clearProxyDelay(index); err != nil {
			return changed, fmt.Errorf("change its ARP settings: %w", err)
		}
		changed++
	}
	return changed, nil
}

func (h *Host) request(proto, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(proto, flags)
	req.Sockets = h.raw
	return req
}

func (h *Host) devconf(index int) ([]uint32, error) {
	req := h.request(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, err
	}
	if len(answers) == 0 {
		return nil, errors.New("no answer from the kernel")
	}
	value, err := nested(answers[0][unix.SizeofIfInfomsg:], unix.IFLA_AF_SPEC, unix.AF_INET, iflaInetConf)
	if err != nil {
		return nil, err
	}
	values := make([]uint32, len(value)/4)
	for i := range values {
		values[i] = binary.NativeEndian.Uint32(value[4*i:])
	}
	return values, nil
}

// nested follows a path of attributes, and returns nil if an attribute is missing.
func nested(data []byte, path ...int) ([]byte, error) {
	for _, want := range path {
		attrs, err := nl.ParseRouteAttr(data)
		if err != nil {
			return nil, err
		}
		data = nil
		for _, a := range attrs {
			if int(a.Attr.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)) == want {
				data = a.Value
			}
		}
		if data == nil {
			return nil, nil
		}
	}
	return data, nil
}

func (h *Host) setDevconf(index, id int, value uint32) error {
	req := h.request(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC|unix.NLA_F_NESTED, nil)
	inet := spec.AddRtAttr(unix.AF_INET|unix.NLA_F_NESTED, nil)
	conf := inet.AddRtAttr(iflaInetConf|unix.NLA_F_NESTED, nil)
	conf.AddRtAttr(id, nl.Uint32Attr(value))
	req.AddData(spec)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// proxyDelay returns the maximum delay of an interface's proxy ARP answers, in
// milliseconds.
func (h *Host) proxyDelay(index int) (uint64, error) {
	answers, err := dump(func() ([][]byte, error) {
		req := h.request(rtmGetNeighTbl, unix.NLM_F_DUMP)
		req.AddData(&rawMessage{unix.AF_INET, 0, 0, 0})
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGHTBL)
	})
	if err != nil {
		return 0, err
	}
	for _, m := range answers {
		parms, err := nested(m[sizeofNdtmsg:], ndtaParms)
		if err != nil {
			return 0, err
		}
		of, err := nested(parms, ndtpaIfindex)
		if err != nil {
			return 0, err
		}
		if len(of) != 4 || binary.NativeEndian.Uint32(of) != uint32(index) {
			continue
		}
		delay, err := nested(parms, ndtpaProxyDelay)
		if err != nil || len(delay) != 8 {
			return 0, err
		}
		return binary.NativeEndian.Uint64(delay), nil
	}
	return 0, nil
}

func (h *Host) clearProxyDelay(index int) error {
	req := h.request(rtmSetNeighTbl, unix.NLM_F_ACK)
	req.AddData(&rawMessage{unix.AF_INET, 0, 0, 0})
	req.AddData(nl.NewRtAttr(ndtaName, nl.ZeroTerminated(arpTable)))
	parms := nl.NewRtAttr(ndtaParms|unix.NLA_F_NESTED, nil)
	parms.AddRtAttr(ndtpaIfindex, nl.Uint32Attr(uint32(index)))
	parms.AddRtAttr(ndtpaProxyDelay, nl.Uint64Attr(0))
	req.AddData(parms)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// rawMessage is the fixed part of a message.
type rawMessage [sizeofNdtmsg]byte

// Len returns its length in bytes.
func (r *rawMessage) Len() int { return len(r) }

// Serialize returns its bytes.
func (r *rawMessage) Serialize() []byte { return r[:] }

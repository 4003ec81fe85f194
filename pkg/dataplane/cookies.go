// SPDX-License-Identifier: Apache-2.0

package dataplane

import (
	"encoding/binary"
	"fmt"

	"github.com/acnodal/epic/bpf"
)

const (
	sendsCookie  = bpf.KernelTunnelFlagsTUNNEL_SENDS_COOKIE
	needsCookie  = bpf.KernelTunnelFlagsTUNNEL_NEEDS_COOKIE
	knowsCookies = bpf.KernelTunnelFlagsTUNNEL_KNOWS_COOKIES
)

// cookieRoom returns the number of bytes that the cookie takes in a tunnel's packets.
func cookieRoom(value *bpf.KernelTunnel) uint16 {
	if value.Flags&sendsCookie != 0 {
		return CookieSize
	}
	return 0
}

// SetCookies implements Tunnels.
func (t *tunnels) SetCookies(id uint32, cookies Cookies) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	value, ok := t.tunnels.get(id)
	if !ok {
		return fmt.Errorf("tunnel %d: %w", id, ErrNoTunnel)
	}
	value.Mtu += cookieRoom(&value)
	value.Flags, value.Cookie = knowsCookies, 0
	if cookies.Sent {
		value.Flags |= sendsCookie
		value.Cookie = binary.NativeEndian.Uint64(cookies.Send[:])
	}
	if cookies.Required || t.required {
		value.Flags |= needsCookie
	}
	for i := range cookies.Accept {
		value.Accepts[i] = binary.NativeEndian.Uint64(cookies.Accept[i][:])
	}
	value.Mtu -= cookieRoom(&value)
	return t.tunnels.update(map[uint32]bpf.KernelTunnel{id: value})
}

// Cookies implements Tunnels.
func (t *tunnels) Cookies() map[uint32]CookieUse {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make(map[uint32]CookieUse, len(t.tunnels.kept))
	for id, value := range t.tunnels.all {
		all[id] = CookieUse{Sent: value.Flags&sendsCookie != 0, Required: value.Flags&needsCookie != 0}
	}
	return all
}

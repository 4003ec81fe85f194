// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"path/filepath"
	"strings"
)

// Problems returns what is not as it has to be and is not this package's to change,
// each with the way out. It reads the settings of the process's own namespace.
func (h *Host) Problems() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var four, six bool
	for _, a := range h.desired.Addresses {
		four = four || a.Address.Is4()
		six = six || a.Address.Is6()
	}
	return problems("/proc/sys/net", four, six)
}

func problems(root string, four, six bool) []string {
	var out []string
	check := func(path, setting, why string) {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			out = append(out, setting+" can not be read ("+err.Error()+"): "+why)
			return
		}
		if strings.TrimSpace(string(data)) == "0" {
			out = append(out, setting+" is 0: "+why)
		}
	}
	if four {
		check("ipv4/ip_forward", "net.ipv4.ip_forward", "the node forwards no IPv4 packet to its proxies; set it to 1 with sysctl")
	}
	if six {
		check("ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding", "the node forwards no IPv6 packet to its proxies; set it to 1 with sysctl")
	}
	return out
}

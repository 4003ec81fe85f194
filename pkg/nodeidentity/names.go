// SPDX-License-Identifier: Apache-2.0

package nodeidentity

import (
	"fmt"
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

const (
	// UserPrefix is the prefix of the name of a user that is a node; its address follows.
	UserPrefix = "epic:node:"
	// Group is the group of all users that are nodes.
	Group = "epic:nodes"
	// AccountPrefix is the prefix of the name of a service account that is a client node;
	// its address follows, with dashes instead of colons, or the name of a client
	// cluster, a dot, and the address.
	AccountPrefix = "node."
)

// ParseAddress parses the address of a node: canonical, without a zone, and of a single
// host. An address that could be written in two ways would be two nodes.
func ParseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%.64q is not an IP address: write it as 192.0.2.16 or 2001:db8::16", s)
	}
	switch canonical := a.WithZone("").Unmap(); {
	case a.IsUnspecified() || a.IsMulticast():
		return netip.Addr{}, fmt.Errorf("%s is not the address of one host", a)
	case canonical.String() != s:
		return netip.Addr{}, fmt.Errorf("%.64q is not in its shortest form: write %s", s, canonical)
	}
	return a, nil
}

// UserName returns the name of the user that is the node with an address.
func UserName(a netip.Addr) string { return UserPrefix + a.String() }

// AccountName returns the name of the service account that is the client node with an
// address. An IPv6 address is written in full if its short form would make a name that
// Kubernetes does not accept.
func AccountName(a netip.Addr) string {
	name := AccountPrefix + strings.ReplaceAll(a.String(), ":", "-")
	if len(validation.IsDNS1123Subdomain(name)) > 0 {
		name = AccountPrefix + strings.ReplaceAll(a.StringExpanded(), ":", "-")
	}
	return name
}

// ClusterAccountPrefix returns the prefix of the names of the service accounts that are
// nodes of one client cluster; the address follows, as in AccountName.
func ClusterAccountPrefix(cluster string) string { return AccountPrefix + cluster + "." }

// ClusterAccountName returns the name of the service account that is the node with an
// address in a client cluster, whose name is a DNS label.
func ClusterAccountName(cluster string, a netip.Addr) string {
	return ClusterAccountPrefix(cluster) + strings.TrimPrefix(AccountName(a), AccountPrefix)
}

// parseAccountName parses the results of AccountName and ClusterAccountName, and nothing
// else. The cluster is empty for a result of AccountName. No name has both forms: an IPv4
// address has three dots, and a cluster's name none.
func parseAccountName(name string) (cluster string, _ netip.Addr, _ error) {
	text := strings.TrimPrefix(name, AccountPrefix)
	a, err := parseAddressOfName(text)
	if err != nil {
		if first, rest, ok := strings.Cut(text, "."); ok && len(validation.IsDNS1123Label(first)) == 0 {
			if of, e := parseAddressOfName(rest); e == nil {
				cluster, a, err = first, of, nil
			}
		}
	}
	if err != nil {
		return "", netip.Addr{}, fmt.Errorf("its name has no address after %q", AccountPrefix)
	}
	want := AccountName(a)
	if cluster != "" {
		want = ClusterAccountName(cluster, a)
	}
	if want != name {
		return "", netip.Addr{}, fmt.Errorf("for %s it must be named %s", a, want)
	}
	return cluster, a, nil
}

// parseAddressOfName parses an address with dashes instead of colons.
func parseAddressOfName(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		a, err = netip.ParseAddr(strings.ReplaceAll(text, "-", ":"))
	}
	if err == nil {
		_, err = ParseAddress(a.String())
	}
	return a, err
}

// AddressOf returns the address in the name of a service account that is a client node.
func AddressOf(account string) (netip.Addr, error) {
	_, a, err := parseAccountName(account)
	return a, err
}

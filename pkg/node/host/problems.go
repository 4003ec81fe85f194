// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netns"
)

// Problems returns what keeps visitors' packets from proxies and must not be changed by
// this package, each with the fix. It reads the settings of the caller's own namespace.
func (h *Host) Problems() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var four, six bool
	for _, a := range h.desired.Addresses {
		four = four || a.Address.Is4()
		six = six || a.Address.Is6()
	}
	if !four && !six {
		return nil
	}
	names := make([]string, 0, len(h.desired.Bridges))
	for _, b := range h.desired.Bridges {
		names = append(names, b.Name)
	}
	out := sysctls("/proc/sys/net", four, six, "to its proxies")
	chains, err := foreignChains(h.nft)
	if err != nil {
		return append(out, fmt.Sprintf("can't read the firewall (%v), so it is not known whether it allows visitors' packets", err))
	}
	h.fw.compare(h.nft)
	for i, wanted := range []bool{four, six} {
		if !wanted {
			continue
		}
		closed := slices.DeleteFunc(slices.Clone(chains), func(c foreignChain) bool { return !c.holds(i == 1) })
		certain := slices.ContainsFunc(closed, func(c foreignChain) bool { return !c.accepts })
		if certain || h.fw.lost[i] {
			out = append(out, lostText(i == 1, closed, names))
		}
	}
	return out
}

// lostText describes which firewall drops packets forwarded to proxies, and the fix.
func lostText(six bool, closed []foreignChain, bridges []string) string {
	family := map[bool]string{false: "IPv4", true: "IPv6"}[six]
	if len(closed) == 0 {
		return fmt.Sprintf("another firewall drops %s packets of visitors to proxies: allow packets forwarded to and from %s", family, strings.Join(bridges, ", "))
	}
	c := closed[0]
	bridge := "BRIDGE"
	if len(bridges) > 0 {
		bridge = bridges[0]
	}
	return fmt.Sprintf("another firewall drops %s packets between visitors and proxies: the chain %s of the table %s %s has the policy drop; allow them with: nft insert rule %s %s %s oifname %s accept; nft insert rule %s %s %s iifname %s accept",
		family, c.name, c.family, c.table, c.family, c.table, c.name, bridge, c.family, c.table, c.name, bridge)
}

// ForwardingProblems returns what keeps a client node from forwarding packets between
// tunnels and its pods, for the families of its endpoints. It checks the caller's own
// namespace.
func ForwardingProblems(four, six bool) []string {
	if !four && !six {
		return nil
	}
	out := sysctls("/proc/sys/net", four, six, "to its pods")
	conn, err := openNFT(netns.None())
	if err != nil {
		return append(out, fmt.Sprintf("can't read the firewall (%v), so it is not known whether it allows packets to pods", err))
	}
	chains, err := foreignChains(conn)
	if err != nil {
		return append(out, fmt.Sprintf("can't read the firewall (%v), so it is not known whether it allows packets to pods", err))
	}
	for i, wanted := range []bool{four, six} {
		for _, c := range chains {
			if wanted && c.holds(i == 1) && !c.accepts {
				out = append(out, fmt.Sprintf("the chain %s of the table %s %s drops all forwarded packets, so none reach the pods: accept packets forwarded to and from pods there",
					c.name, c.family, c.table))
				break
			}
		}
	}
	return out
}

// foreignChain is a chain of another program that drops forwarded packets unless a rule
// accepts them.
type foreignChain struct {
	name, table, family string
	// accepts indicates that a rule may accept something.
	accepts bool
}

// holds reports whether a chain handles packets of a family.
func (c foreignChain) holds(six bool) bool {
	return c.family == "inet" || (c.family == "ip6") == six
}

// foreignChains lists the chains of other programs at the forward hook with the policy
// drop.
func foreignChains(conn *nftables.Conn) ([]foreignChain, error) {
	var out []foreignChain
	for _, family := range []struct {
		number nftables.TableFamily
		name   string
	}{{nftables.TableFamilyIPv4, "ip"}, {nftables.TableFamilyIPv6, "ip6"}, {nftables.TableFamilyINet, "inet"}} {
		chains, err := conn.ListChainsOfTableFamily(family.number)
		if err != nil {
			return nil, fmt.Errorf("list chains: %w", err)
		}
		for _, c := range chains {
			if c.Table.Name == FirewallTable || c.Hooknum == nil || *c.Hooknum != *nftables.ChainHookForward ||
				c.Policy == nil || *c.Policy != nftables.ChainPolicyDrop {
				continue
			}
			accepts, err := mayAccept(conn, c, chains, map[string]bool{})
			if err != nil {
				return nil, err
			}
			out = append(out, foreignChain{name: c.Name, table: c.Table.Name, family: family.name, accepts: accepts})
		}
	}
	return out, nil
}

// mayAccept reports whether a chain, or one that it leads to, has a rule that accepts. It
// does not evaluate what rules match: packets show whether they are sufficient.
func mayAccept(conn *nftables.Conn, c *nftables.Chain, all []*nftables.Chain, seen map[string]bool) (bool, error) {
	if seen[c.Name] {
		return false, nil
	}
	seen[c.Name] = true
	rules, err := conn.GetRules(c.Table, c)
	if err != nil {
		return false, fmt.Errorf("list the rules of %s: %w", c.Name, err)
	}
	for _, rule := range rules {
		for _, e := range rule.Exprs {
			v, ok := e.(*expr.Verdict)
			if !ok {
				// A verdict map, or a target of iptables.
				switch e.(type) {
				case *expr.Lookup, *expr.Target:
					return true, nil
				}
				continue
			}
			switch v.Kind {
			case expr.VerdictAccept, expr.VerdictQueue:
				return true, nil
			case expr.VerdictJump, expr.VerdictGoto:
				i := slices.IndexFunc(all, func(o *nftables.Chain) bool { return o.Name == v.Chain && o.Table.Name == c.Table.Name })
				if i < 0 {
					continue
				}
				if accepts, err := mayAccept(conn, all[i], all, seen); err != nil || accepts {
					return accepts, err
				}
			}
		}
	}
	return false, nil
}

// enough is the number of admitted packets, none of which arrives, after which they count
// as lost.
const enough = 3

// compare checks whether packets that the first chain admitted since the last time
// reached the last chain, which does not see packets that others drop.
func (f *firewallState) compare(conn *nftables.Conn) {
	objects, err := conn.GetObjects(newTable().Table)
	if err != nil {
		return
	}
	now := map[string]uint64{}
	for _, o := range objects {
		if c, ok := o.(*nftables.CounterObj); ok {
			now[c.Name] = c.Packets
		}
	}
	for i, names := range [2][2]string{{letIn4, arrived4}, {letIn6, arrived6}} {
		in, arrived := now[names[0]], now[names[1]]
		switch {
		case in < f.letIn[i] || arrived != f.arrived[i]:
			// Some arrive, or the table was recreated.
			f.lost[i] = false
		case in < f.letIn[i]+enough:
			continue
		default:
			f.lost[i] = true
		}
		f.letIn[i], f.arrived[i] = in, arrived
	}
}

// sysctls returns the forwarding settings that are disabled.
func sysctls(root string, four, six bool, where string) []string {
	var out []string
	check := func(path, setting, family string) {
		data, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			out = append(out, fmt.Sprintf("can't read %s (%v): it must be 1 for the node to forward %s packets %s", setting, err, family, where))
			return
		}
		if strings.TrimSpace(string(data)) == "0" {
			out = append(out, fmt.Sprintf("%s is 0, so the node does not forward %s packets %s: set it to 1 with: sysctl -w %s=1", setting, family, where, setting))
		}
	}
	if four {
		check("ipv4/ip_forward", "net.ipv4.ip_forward", "IPv4")
	}
	if six {
		check("ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding", "IPv6")
	}
	return out
}

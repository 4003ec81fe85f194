// SPDX-License-Identifier: Apache-2.0

package nodeidentity

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// nodes are Nodes by name.
type nodes map[string]string

func (n nodes) Addresses(_ context.Context, name string) ([]netip.Addr, error) {
	if a, ok := n[name]; ok {
		return []netip.Addr{netip.MustParseAddr(a), netip.MustParseAddr("2001:db8::40")}, nil
	}
	return nil, errors.New("no such Node")
}

const gateway = "system:serviceaccount:epic-node:epic-node"

func TestIdentify(t *testing.T) {
	i := &Identifier{GatewayAccounts: []string{gateway}, Nodes: nodes{"one": "192.0.2.40"}}
	on := func(names ...string) map[string][]string {
		return map[string][]string{serviceaccount.NodeNameKey: names}
	}
	for name, test := range map[string]struct {
		user user.DefaultInfo
		// has is one of its addresses.
		has, tenant, cluster, err string
	}{
		"a person":                {user: user.DefaultInfo{Name: "jane", Groups: []string{"system:authenticated"}}},
		"nobody":                  {user: user.DefaultInfo{}},
		"a node by address":       {user: user.DefaultInfo{Name: "epic:node:192.0.2.1", Groups: []string{"a", Group}}, has: "192.0.2.1"},
		"a node by IPv6 address":  {user: user.DefaultInfo{Name: "epic:node:2001:db8::1", Groups: []string{Group}}, has: "2001:db8::1"},
		"without the group":       {user: user.DefaultInfo{Name: "epic:node:192.0.2.1"}, err: "not in the group"},
		"without the name":        {user: user.DefaultInfo{Name: "jane", Groups: []string{Group}}, err: "its name is not of the form"},
		"masters too":             {user: user.DefaultInfo{Name: "jane", Groups: []string{"system:masters", Group}}, err: "its name is not of the form"},
		"no address":              {user: user.DefaultInfo{Name: "epic:node:", Groups: []string{Group}}, err: "not an IP address"},
		"a name":                  {user: user.DefaultInfo{Name: "epic:node:host", Groups: []string{Group}}, err: "not an IP address"},
		"IPv4 in IPv6":            {user: user.DefaultInfo{Name: "epic:node:::ffff:192.0.2.1", Groups: []string{Group}}, err: "write 192.0.2.1"},
		"not canonical":           {user: user.DefaultInfo{Name: "epic:node:2001:DB8::1", Groups: []string{Group}}, err: "write 2001:db8::1"},
		"leading zeros":           {user: user.DefaultInfo{Name: "epic:node:192.0.2.01", Groups: []string{Group}}, err: "not an IP address"},
		"a zone":                  {user: user.DefaultInfo{Name: "epic:node:fe80::1%eth0", Groups: []string{Group}}, err: "write fe80::1"},
		"unspecified":             {user: user.DefaultInfo{Name: "epic:node:0.0.0.0", Groups: []string{Group}}, err: "not the address of one host"},
		"a gateway's pod":         {user: user.DefaultInfo{Name: gateway, Extra: on("one")}, has: "2001:db8::40"},
		"a token without a node":  {user: user.DefaultInfo{Name: gateway}, err: "does not contain the node"},
		"a token with two nodes":  {user: user.DefaultInfo{Name: gateway, Extra: on("one", "two")}, err: "does not contain the node"},
		"a token with no name":    {user: user.DefaultInfo{Name: gateway, Extra: on("")}, err: "does not contain the node"},
		"an unknown node":         {user: user.DefaultInfo{Name: gateway, Extra: on("two")}, err: "no such Node"},
		"the account of another":  {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:epic-node", Extra: on("one")}},
		"a tenant's node":         {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.192.0.2.16"}, has: "192.0.2.16", tenant: "epic-acme"},
		"a tenant's node on v6":   {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.2001-db8--16"}, has: "2001:db8::16", tenant: "epic-acme"},
		"a tenant's pod's token":  {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.192.0.2.16", Extra: on("one")}, has: "192.0.2.16", tenant: "epic-acme"},
		"a cluster's node":        {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.paris.192.0.2.16"}, has: "192.0.2.16", tenant: "epic-acme", cluster: "paris"},
		"a cluster's node on v6":  {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.paris.2001-db8--16"}, has: "2001:db8::16", tenant: "epic-acme", cluster: "paris"},
		"a cluster with a number": {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.192.0.2.16.1"}, has: "0.2.16.1", tenant: "epic-acme", cluster: "192"},
		"two clusters":            {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.paris.rome.192.0.2.16"}, err: "begin with node."},
		"two names in a cluster":  {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.paris.2001-db8-0--16"}, err: "must be named node.paris.2001-db8--16"},
		"two names for one node":  {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.2001-db8-0--16"}, err: "must be named node.2001-db8--16"},
		"a tenant's other":        {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.exporter"}, err: "begin with node."},
		"v4 in v6 of a tenant":    {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:node.0--ffff-192.0.2.1"}, err: "begin with node."},
		"somebody else's account": {user: user.DefaultInfo{Name: "system:serviceaccount:default:node.192.0.2.16"}},
		"the platform's account":  {user: user.DefaultInfo{Name: "system:serviceaccount:epic:node.192.0.2.16"}},
		"no tenant":               {user: user.DefaultInfo{Name: "system:serviceaccount:epic-:node.192.0.2.16"}},
		"a tenant's program":      {user: user.DefaultInfo{Name: "system:serviceaccount:epic-acme:deployer"}},
	} {
		t.Run(name, func(t *testing.T) {
			node, err := i.Identify(t.Context(), &test.user)
			switch {
			case test.err != "":
				if err == nil || node != nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, %v; want %q", node, err, test.err)
				}
			case err != nil:
				t.Error(err)
			case test.has == "":
				if node != nil {
					t.Errorf("is the node %s", node)
				}
			case node == nil || !node.Has(test.has) || node.Tenant != test.tenant || node.Cluster != test.cluster:
				t.Errorf("is %+v", node)
			case node.Has("192.0.2.99") || node.Has("") || node.Has("::ffff:"+test.has):
				t.Errorf("%s has addresses that are not its own", node)
			}
		})
	}
	if node, err := i.Identify(t.Context(), nil); node != nil || err != nil {
		t.Errorf("no user: %v, %v", node, err)
	}
	alone := &Identifier{GatewayAccounts: []string{gateway}}
	if _, err := alone.Identify(t.Context(), &user.DefaultInfo{Name: gateway, Extra: on("one")}); err == nil {
		t.Error("a server without a cluster knows its nodes")
	}
}

func TestNodeString(t *testing.T) {
	i := &Identifier{GatewayAccounts: []string{gateway}, Nodes: nodes{"one": "192.0.2.40"}}
	node, err := i.Identify(t.Context(), &user.DefaultInfo{Name: gateway, Extra: map[string][]string{serviceaccount.NodeNameKey: {"one"}}})
	if err != nil || node.String() != "one (192.0.2.40, 2001:db8::40)" {
		t.Errorf("%s, %v", node, err)
	}
}

func FuzzAccountName(f *testing.F) {
	f.Add([]byte{192, 0, 2, 1}, "paris", "node.192.0.2.1")
	f.Add(netip.MustParseAddr("2001:db8::").AsSlice(), "10", "node.2001-db8--")
	f.Add(netip.MustParseAddr("::2").AsSlice(), "a-b", "node.paris.--2")
	f.Fuzz(func(t *testing.T, address []byte, cluster, name string) {
		write := func(cluster string, a netip.Addr) string {
			if cluster == "" {
				return AccountName(a)
			}
			return ClusterAccountName(cluster, a)
		}
		// Whatever is read from a name is written so.
		if of, a, err := parseAccountName(name); err == nil && write(of, a) != name {
			t.Errorf("%s is read as %s of %q, whose name is %s", name, a, of, write(of, a))
		}
		a, ok := netip.AddrFromSlice(address)
		if !ok {
			return
		}
		if _, err := ParseAddress(a.String()); err != nil {
			return
		}
		for _, of := range []string{"", cluster} {
			if of != "" && len(validation.IsDNS1123Label(of)) > 0 {
				continue
			}
			written := write(of, a)
			if problems := validation.IsDNS1123Subdomain(written); len(problems) > 0 {
				t.Errorf("%s is not a name: %v", written, problems)
			}
			if backOf, back, err := parseAccountName(written); err != nil || back != a || backOf != of {
				t.Errorf("%s, from %s of %q, is read as %s of %q, %v", written, a, of, back, backOf, err)
			}
		}
	})
}

// Only the holder of a certificate is a host, whose address is the administrator's word.
func TestHosts(t *testing.T) {
	i := &Identifier{GatewayAccounts: []string{gateway}, Nodes: nodes{"one": "192.0.2.40"}}
	for host, u := range map[bool][]user.DefaultInfo{
		true: {{Name: "epic:node:192.0.2.1", Groups: []string{Group}}, {Name: "epic:node:2001:db8::1", Groups: []string{Group}}},
		false: {
			{Name: gateway, Extra: map[string][]string{serviceaccount.NodeNameKey: {"one"}}},
			{Name: "system:serviceaccount:epic-acme:node.192.0.2.16"},
		},
	} {
		for _, u := range u {
			if node, err := i.Identify(t.Context(), &u); err != nil || node.Host != host {
				t.Errorf("%s: %+v, %v", u.Name, node, err)
			}
		}
	}
}

// SPDX-License-Identifier: Apache-2.0

package nodeidentity

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// Node is the node that sent a request.
type Node struct {
	// Tenant is the namespace of a client node, or empty.
	Tenant string
	// Cluster is the client cluster of a client node that got its credentials from that
	// cluster's connector. It is empty for a node of the whole account.
	Cluster string
	// Host is set for a node that is identified by a client certificate with its address:
	// a gateway node, or a tenant's host to which an administrator issued one.
	Host bool

	name      string
	addresses []netip.Addr
}

// Has reports whether s is an address of the node. An address in any form other than the
// canonical one belongs to no node.
func (n *Node) Has(s string) bool {
	a, err := ParseAddress(s)
	return err == nil && slices.Contains(n.addresses, a)
}

// String formats the node with its addresses.
func (n *Node) String() string {
	var all []string
	for _, a := range n.addresses {
		all = append(all, a.String())
	}
	addresses := strings.Join(all, ", ")
	if n.name == addresses {
		return n.name
	}
	return n.name + " (" + addresses + ")"
}

// Addresses finds the addresses of a Node of the cluster.
type Addresses interface {
	// Addresses returns at least one address, or an error that explains why there is
	// none.
	Addresses(ctx context.Context, node string) ([]netip.Addr, error)
}

// Identifier distinguishes nodes from other users.
type Identifier struct {
	// GatewayAccounts are the user names of the service accounts whose pods are
	// gateway nodes.
	GatewayAccounts []string
	// Nodes finds the addresses of the Node on which such a pod runs; nil if there is no
	// cluster.
	Nodes Addresses
}

// Identify returns the node of a user, or nil for a user that is not a node. It returns
// an error for credentials that should identify a node and do not.
func (i *Identifier) Identify(ctx context.Context, u user.Info) (*Node, error) {
	if u == nil {
		return nil, nil
	}
	address, isNamed := strings.CutPrefix(u.GetName(), UserPrefix)
	inGroup := slices.Contains(u.GetGroups(), Group)
	switch {
	case isNamed && inGroup:
		return named(address)
	case isNamed:
		return nil, fmt.Errorf("the user %s has the name of a node but is not in the group %s: use credentials with both", u.GetName(), Group)
	case inGroup:
		return nil, fmt.Errorf("the user %.128q is in the group %s but its name is not of the form %sADDRESS: use credentials with both", u.GetName(), Group, UserPrefix)
	case slices.Contains(i.GatewayAccounts, u.GetName()):
		return i.gatewayPod(ctx, u)
	}
	namespace, account, err := serviceaccount.SplitUsername(u.GetName())
	if err != nil || !strings.HasPrefix(account, AccountPrefix) || !isTenants(namespace) {
		return nil, nil //nolint:nilerr // a user that is not a service account is not a client node
	}
	cluster, a, err := parseAccountName(account)
	if err != nil {
		return nil, fmt.Errorf("the service account %s in %s is meant for a node, and %w; other accounts must not have names that begin with %s", account, namespace, err, AccountPrefix)
	}
	return &Node{Tenant: namespace, Cluster: cluster, name: a.String(), addresses: []netip.Addr{a}}, nil
}

func isTenants(namespace string) bool {
	account, ok := strings.CutPrefix(namespace, epic.AccountNamespacePrefix)
	return ok && account != ""
}

func named(address string) (*Node, error) {
	a, err := ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("the user's name begins with %s, but the rest is not a node: %w", UserPrefix, err)
	}
	return &Node{Host: true, name: a.String(), addresses: []netip.Addr{a}}, nil
}

// gatewayPod determines the node of a pod by its token.
func (i *Identifier) gatewayPod(ctx context.Context, u user.Info) (*Node, error) {
	on := u.GetExtra()[serviceaccount.NodeNameKey]
	if len(on) != 1 || on[0] == "" {
		return nil, fmt.Errorf("the token of %s does not contain the node of its pod: use the token that is mounted in a pod of that service account", u.GetName())
	}
	if i.Nodes == nil {
		return nil, errors.New("this server has no cluster whose Nodes it could look up: use credentials of the user " + UserPrefix + "ADDRESS")
	}
	addresses, err := i.Nodes.Addresses(ctx, on[0])
	if err != nil {
		return nil, err
	}
	return &Node{name: on[0], addresses: addresses}, nil
}

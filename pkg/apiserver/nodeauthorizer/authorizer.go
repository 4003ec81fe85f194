// SPDX-License-Identifier: Apache-2.0

// Package nodeauthorizer authorizes nodes on a standalone server, which has no
// kube-apiserver to query. It allows what the shipped roles epic-node and epic-node-client
// allow, to a client node only in its namespace. It never denies a request: other
// authorizers may allow what it does not.
package nodeauthorizer

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/nodeidentity"
)

// Rules maps each resource, including its subresource if any, to the allowed verbs.
type Rules map[string][]string

var (
	reads  = []string{"get", "list", "watch"}
	writes = []string{"get", "update", "patch"}
)

// Gateway and Tenant are what gateway nodes and client nodes may do.
var (
	Gateway = Rules{
		epic.ResourceEPICs:            reads,
		epic.ResourceServicePrefixes:  reads,
		epic.ResourceAccounts:         reads,
		epic.ResourceLoadBalancers:    reads,
		epic.ResourceRemoteEndpoints:  reads,
		epic.ResourceGWProxies:        reads,
		epic.ResourceGWRoutes:         reads,
		epic.ResourceGWEndpointSlices: reads,
		epic.ResourceGatewayNodes:     {"get", "create"},
		"gatewaynodes/status":         writes,
		"epics/status":                {"get", "patch"},
		"loadbalancers/status":        writes,
		"gwproxies/status":            writes,
		"loadbalancers/tunnelkeys":    {"get"},
		"gwproxies/tunnelkeys":        {"get"},
	}
	Tenant = Rules{
		epic.ResourceAccounts:         reads,
		epic.ResourceLoadBalancers:    reads,
		epic.ResourceRemoteEndpoints:  reads,
		epic.ResourceGWProxies:        reads,
		epic.ResourceGWRoutes:         reads,
		epic.ResourceGWEndpointSlices: reads,
		"loadbalancers/tunnelkeys":    {"get"},
		"gwproxies/tunnelkeys":        {"get"},
	}
)

// discovery holds the paths that clients read to discover what is served.
var discovery = []string{"/api", "/apis", "/openapi", "/version"}

// Identifier distinguishes nodes from other users.
type Identifier interface {
	Identify(ctx context.Context, u user.Info) (*nodeidentity.Node, error)
}

// New returns the authorizer.
func New(nodes Identifier) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		node, err := nodes.Identify(ctx, a.GetUser())
		if err != nil {
			// Users see this as the reason why the credentials are not valid.
			return authorizer.DecisionNoOpinion, err.Error(), nil //nolint:nilerr // see above
		}
		if node != nil && allowed(node, a) {
			return authorizer.DecisionAllow, "", nil
		}
		return authorizer.DecisionNoOpinion, "", nil
	})
}

func allowed(node *nodeidentity.Node, a authorizer.Attributes) bool {
	if !a.IsResourceRequest() {
		return a.GetVerb() == "get" && slices.ContainsFunc(discovery, func(path string) bool {
			return a.GetPath() == path || strings.HasPrefix(a.GetPath(), path+"/")
		})
	}
	rules := Gateway
	if node.Tenant != "" {
		if a.GetNamespace() != node.Tenant {
			return false
		}
		rules = Tenant
	}
	resource := a.GetResource()
	if a.GetSubresource() != "" {
		resource += "/" + a.GetSubresource()
	}
	return a.GetAPIGroup() == epic.GroupName && slices.Contains(rules[resource], a.GetVerb())
}

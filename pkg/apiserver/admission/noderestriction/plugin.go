// SPDX-License-Identifier: Apache-2.0

package noderestriction

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/nodeidentity"
)

// Identifier tells nodes from other users.
type Identifier interface {
	Identify(ctx context.Context, u user.Info) (*nodeidentity.Node, error)
}

// Plugin refuses what a node may not write.
type Plugin struct {
	*admission.Handler
	nodes Identifier
}

var _ admission.ValidationInterface = &Plugin{}

// New returns the plugin.
func New(nodes Identifier) *Plugin {
	return &Plugin{
		Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete, admission.Connect),
		nodes:   nodes,
	}
}

// Validate implements admission.ValidationInterface.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().Group != epic.GroupName {
		return nil
	}
	node, err := p.nodes.Identify(ctx, a.GetUserInfo())
	switch {
	case err != nil:
		return admission.NewForbidden(a, fmt.Errorf("nothing may be written with credentials that are a node's and do not name it: %w", err))
	case node == nil:
		return nil
	case node.Tenant != "":
		return admission.NewForbidden(a, fmt.Errorf("%s is a tenant's node, which reads and never writes: use the credentials of a person or a program of the tenant's", node))
	}
	if problem := check(node, a); problem != nil {
		return admission.NewForbidden(a, problem)
	}
	return nil
}

// errorf begins every refusal with the node and ends it with what it may do.
func errorf(node *nodeidentity.Node, format string, args ...any) error {
	return fmt.Errorf("node %s may only write the status, its own entries of proxy-if-info in load balancers and gateway proxies and of nodes in the EPIC object; %s", node, fmt.Sprintf(format, args...))
}

func check(node *nodeidentity.Node, a admission.Attributes) error {
	if a.GetOperation() != admission.Update || a.GetSubresource() != "status" {
		what := a.GetResource().Resource
		if a.GetSubresource() != "" {
			what += "/" + a.GetSubresource()
		}
		return errorf(node, "this is %s of %s", a.GetOperation(), what)
	}
	var problem *field.Error
	switch obj := a.GetObject().(type) {
	case *epic.LoadBalancer:
		old, ok := a.GetOldObject().(*epic.LoadBalancer)
		if !ok {
			return errorf(node, "this has no object to compare with")
		}
		problem = loadBalancer(node, obj, old)
	case *epic.GWProxy:
		old, ok := a.GetOldObject().(*epic.GWProxy)
		if !ok {
			return errorf(node, "this has no object to compare with")
		}
		problem = gwProxy(node, obj, old)
	case *epic.EPIC:
		old, ok := a.GetOldObject().(*epic.EPIC)
		if !ok {
			return errorf(node, "this has no object to compare with")
		}
		problem = installation(node, obj, old)
	default:
		return errorf(node, "this is the status of %s", a.GetResource().Resource)
	}
	if problem != nil {
		return errorf(node, "%s", problem.Error())
	}
	return nil
}

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
	"github.com/acnodal/epic/pkg/placement"
)

// Identifier distinguishes nodes from other users.
type Identifier interface {
	Identify(ctx context.Context, u user.Info) (*nodeidentity.Node, error)
}

// Placements decides whether a proxy runs on a node.
type Placements interface {
	Check(ctx context.Context, object placement.Object, placements map[string]string, proxy, node string) error
}

// Plugin rejects writes that a node may not make.
type Plugin struct {
	*admission.Handler
	nodes      Identifier
	placements Placements
}

var _ admission.ValidationInterface = &Plugin{}

// New returns the plugin.
func New(nodes Identifier, placements Placements) *Plugin {
	return &Plugin{
		Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete, admission.Connect),
		nodes:   nodes, placements: placements,
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
		return admission.NewForbidden(a, fmt.Errorf("credentials of a node that do not identify the node can't write anything: %w", err))
	case node == nil:
		return nil
	case node.Tenant != "":
		return admission.NewForbidden(a, fmt.Errorf("%s is a client node, and client nodes can't write: use the credentials of a user or a program of the tenant", node))
	}
	writer := &writer{Node: node, placements: p.placements, object: placement.Object{
		Resource: a.GetResource().Resource, Namespace: a.GetNamespace(), Name: a.GetName(),
	}}
	if problem := writer.check(ctx, a); problem != nil {
		return admission.NewForbidden(a, problem)
	}
	// An unknown placement is not a denial: the node retries.
	return writer.unknown
}

// writer is a gateway node that writes an object.
type writer struct {
	*nodeidentity.Node
	placements Placements
	object     placement.Object
	// unknown is the error that prevented checking whether a proxy runs on the node.
	unknown error
}

// runs returns nil if a proxy of the object runs on the node, by the address that the
// node reports.
func (w *writer) runs(ctx context.Context, listed map[string]string, proxy, address string) error {
	err := w.placements.Check(ctx, w.object, listed, proxy, address)
	if err != nil && !placement.IsNotThere(err) {
		w.unknown = err
		return nil
	}
	return err
}

// errorf returns an error that begins with the node and what it may do.
func errorf(node *nodeidentity.Node, format string, args ...any) error {
	return fmt.Errorf("node %s may only write its own GatewayNode object, and in the status of other objects its own entries: of proxy-if-info in load balancers and gateway proxies, and of nodes in the EPIC object; %s", node, fmt.Sprintf(format, args...))
}

func (w *writer) check(ctx context.Context, a admission.Attributes) error {
	node := w.Node
	if created, ok := a.GetObject().(*epic.GatewayNode); ok && a.GetOperation() == admission.Create && a.GetSubresource() == "" {
		if problem := newReport(node, created); problem != nil {
			return errorf(node, "%s", problem.Error())
		}
		return nil
	}
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
			return errorf(node, "the request has no object to compare with")
		}
		problem = w.loadBalancer(ctx, obj, old)
	case *epic.GWProxy:
		old, ok := a.GetOldObject().(*epic.GWProxy)
		if !ok {
			return errorf(node, "the request has no object to compare with")
		}
		problem = w.gwProxy(ctx, obj, old)
	case *epic.EPIC:
		old, ok := a.GetOldObject().(*epic.EPIC)
		if !ok {
			return errorf(node, "the request has no object to compare with")
		}
		problem = installation(node, obj, old)
	case *epic.GatewayNode:
		old, ok := a.GetOldObject().(*epic.GatewayNode)
		if !ok {
			return errorf(node, "the request has no object to compare with")
		}
		problem = report(node, obj, old)
	default:
		return errorf(node, "this is the status of %s", a.GetResource().Resource)
	}
	if problem != nil {
		return errorf(node, "%s", problem.Error())
	}
	return nil
}

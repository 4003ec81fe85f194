// SPDX-License-Identifier: Apache-2.0

package gatewaynode

import (
	"context"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// strategy is for writes of the objects.
type strategy struct{ kind.BaseStrategy }

func newStrategy(typer runtime.ObjectTyper) strategy {
	return strategy{kind.NewBaseStrategy(typer)}
}

// PrepareForCreate drops the status, which the node writes by itself, and takes the
// address from the name where it is left out.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	a := obj.(*epic.GatewayNode)
	a.Status = epic.GatewayNodeStatus{}
	if a.Spec.Address == "" {
		// A name that stands for no address is refused by validation.
		if address, err := epic.GatewayNodeAddress(a.Name); err == nil {
			a.Spec.Address = address.String()
		}
	}
	kind.Created(&a.ObjectMeta)
}

// Validate implements rest.RESTCreateStrategy.
func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateGatewayNode(obj.(*epic.GatewayNode))
}

// PrepareForUpdate keeps the status, and the address where it is left out.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epic.GatewayNode), old.(*epic.GatewayNode)
	a.Status = o.Status
	if a.Spec.Address == "" {
		a.Spec.Address = o.Spec.Address
	}
	kind.Bump(&a.ObjectMeta, a.Spec, o.Spec)
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateGatewayNodeUpdate(obj.(*epic.GatewayNode), old.(*epic.GatewayNode))
}

// statusStrategy is for writes of the status.
type statusStrategy struct{ kind.BaseStrategy }

func newStatusStrategy(typer runtime.ObjectTyper) statusStrategy {
	return statusStrategy{kind.NewBaseStatusStrategy(typer)}
}

// PrepareForUpdate keeps everything but the status, and replaces the time of a
// heartbeat with the server's: nodes' clocks may be wrong, and a dead node would look
// alive.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epic.GatewayNode), old.(*epic.GatewayNode)
	a.Spec = o.Spec
	kind.KeepMeta(&a.ObjectMeta, &o.ObjectMeta)
	kind.KeepConditions(&a.Status.Conditions, o.Status.Conditions)
	kind.KeepObserved(&a.Status.ObservedGeneration, o.Status.ObservedGeneration)
	if !apiequality.Semantic.DeepEqual(a.Status, o.Status) {
		// Stored times have a precision of one second.
		a.Status.HeartbeatTime = metav1.Now().Rfc3339Copy()
	}
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateGatewayNodeStatusUpdate(obj.(*epic.GatewayNode), old.(*epic.GatewayNode))
}

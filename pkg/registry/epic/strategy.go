// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"context"
	"maps"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	epicapi "github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// strategy is for writes of the objects. It does what needs nothing but the
// object, new and old; what needs others is done where claims are made.
type strategy struct{ kind.BaseStrategy }

func newStrategy(typer runtime.ObjectTyper) strategy {
	return strategy{kind.NewBaseStrategy(typer)}
}

// PrepareForCreate drops the status, which only the server and its controllers
// write.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	a := obj.(*epicapi.EPIC)
	a.Status = epicapi.EPICStatus{}
	kind.Created(&a.ObjectMeta)
}

// Validate implements rest.RESTCreateStrategy.
func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateEPIC(obj.(*epicapi.EPIC))
}

// PrepareForUpdate keeps the status, and what was left out but can't be taken
// back.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epicapi.EPIC), old.(*epicapi.EPIC)
	a.Status = o.Status
	kind.Bump(&a.ObjectMeta, a.Spec, o.Spec)
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateEPICUpdate(obj.(*epicapi.EPIC), old.(*epicapi.EPIC))
}

// statusStrategy is for writes of the status.
type statusStrategy struct{ kind.BaseStrategy }

func newStatusStrategy(typer runtime.ObjectTyper) statusStrategy {
	return statusStrategy{kind.NewBaseStatusStrategy(typer,
		fieldpath.MakePathOrDie("status", "current-tunnel-id"), fieldpath.MakePathOrDie("status", "current-group-id"))}
}

// PrepareForUpdate keeps everything but the status, and the parts of the status
// that the write leaves out and its writer may not know.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epicapi.EPIC), old.(*epicapi.EPIC)
	a.Spec = o.Spec
	kind.KeepMeta(&a.ObjectMeta, &o.ObjectMeta)
	kind.KeepConditions(&a.Status.Conditions, o.Status.Conditions)
	kind.KeepObserved(&a.Status.ObservedGeneration, o.Status.ObservedGeneration)
	// The store sets these.
	a.Status.CurrentTunnelID = o.Status.CurrentTunnelID
	a.Status.CurrentGroupID = o.Status.CurrentGroupID
	if a.Status.GatewayNodes == nil {
		a.Status.GatewayNodes = o.Status.GatewayNodes
	}
	keepNodes(&a.Status, &o.Status)
	stampHeartbeats(a.Status.Nodes, o.Status.Nodes, metav1.Now())
}

// keepNodes carries the nodes over that a write of the status left out: programs
// that were published before nodes reported here write the rest of the status
// alone. An empty map, as opposed to none, removes the nodes, and a patch can
// remove each.
func keepNodes(status, old *epicapi.EPICStatus) {
	if status.Nodes == nil {
		status.Nodes = maps.Clone(old.Nodes)
		return
	}
	for address, node := range status.Nodes {
		kind.KeepConditions(&node.Conditions, old.Nodes[address].Conditions)
		status.Nodes[address] = node
	}
}

// stampHeartbeats puts the server's time into each entry that was written anew.
// Nodes' clocks may be wrong, and then a dead node would look alive.
func stampHeartbeats(nodes, old map[string]epicapi.EPICNodeStatus, now metav1.Time) {
	for address, node := range nodes {
		if before, known := old[address]; known && apiequality.Semantic.DeepEqual(node, before) {
			continue
		}
		// What is stored has no more than seconds.
		node.HeartbeatTime = now.Rfc3339Copy()
		nodes[address] = node
	}
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateEPICStatusUpdate(obj.(*epicapi.EPIC), old.(*epicapi.EPIC))
}

// SPDX-License-Identifier: Apache-2.0

package gwproxy

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/proxy"
	"github.com/acnodal/epic/pkg/registry/proxystatus"
)

// strategy is for writes of the objects. It does what needs nothing but the
// object, new and old; what needs others is done where claims are made.
type strategy struct{ kind.BaseStrategy }

func newStrategy(typer runtime.ObjectTyper) strategy {
	return strategy{kind.NewBaseStrategy(typer,
		fieldpath.MakePathOrDie("spec", "gue-tunnel-endpoints"),
		fieldpath.MakePathOrDie("spec", "proxy-if-info"))}
}

// PrepareForCreate drops the status, which only the server and its controllers
// write.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	a := obj.(*epic.GWProxy)
	a.Status = epic.ProxyStatus{}
	a.Spec.EnvoyReplicaCount = proxystatus.Replicas(a.Spec.EnvoyReplicaCount, nil)
	kind.Created(&a.ObjectMeta)
}

// Validate implements rest.RESTCreateStrategy.
func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateGWProxy(obj.(*epic.GWProxy))
}

// PrepareForUpdate keeps the status, and what was left out but can't be taken
// back.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epic.GWProxy), old.(*epic.GWProxy)
	a.Status = o.Status
	proxy.Keep(proxy.GWProxy(a), proxy.GWProxy(o))
	kind.Bump(&a.ObjectMeta, a.Spec, o.Spec)
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateGWProxyUpdate(obj.(*epic.GWProxy), old.(*epic.GWProxy))
}

// statusStrategy is for writes of the status.
type statusStrategy struct{ kind.BaseStrategy }

func newStatusStrategy(typer runtime.ObjectTyper) statusStrategy {
	return statusStrategy{kind.NewBaseStatusStrategy(typer)}
}

// PrepareForUpdate keeps everything but the status, and the parts of the status
// that the write leaves out and its writer may not know.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epic.GWProxy), old.(*epic.GWProxy)
	a.Spec = o.Spec
	kind.KeepMeta(&a.ObjectMeta, &o.ObjectMeta)
	kind.KeepConditions(&a.Status.Conditions, o.Status.Conditions)
	kind.KeepObserved(&a.Status.ObservedGeneration, o.Status.ObservedGeneration)
	proxystatus.Normalize(&a.Status, &o.Status)
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateGWProxyStatusUpdate(obj.(*epic.GWProxy), old.(*epic.GWProxy))
}

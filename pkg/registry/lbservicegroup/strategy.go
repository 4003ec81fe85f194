// SPDX-License-Identifier: Apache-2.0

package lbservicegroup

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// The DNS records of a group that names none. They are not defaults of the API
// version: those fill in what is left out of updates too, and a group keeps the
// records that its proxies have.
const (
	defaultDNSName    = "{{.PureLBServiceName}}.{{.LBSGName}}.{{.Account}}.client.acnodal.io"
	defaultRecordType = "A"
	// defaultRecordTTL is in seconds.
	defaultRecordTTL = 180
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
	a := obj.(*epic.LBServiceGroup)
	a.Status = epic.LBServiceGroupStatus{}
	if a.Spec.EndpointTemplate == nil {
		a.Spec.EndpointTemplate = &epic.DNSEndpoint{DNSName: defaultDNSName, RecordType: defaultRecordType, RecordTTL: defaultRecordTTL}
	}
	kind.Created(&a.ObjectMeta)
}

// Validate implements rest.RESTCreateStrategy.
func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.ValidateLBServiceGroup(obj.(*epic.LBServiceGroup))
}

// PrepareForUpdate keeps the status, and what was left out but can't be taken
// back.
func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epic.LBServiceGroup), old.(*epic.LBServiceGroup)
	a.Status = o.Status
	kind.KeepOwners(&a.ObjectMeta, &o.ObjectMeta)
	if a.Spec.EndpointTemplate == nil {
		a.Spec.EndpointTemplate = o.Spec.EndpointTemplate
	}
	kind.Bump(&a.ObjectMeta, a.Spec, o.Spec)
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateLBServiceGroupUpdate(obj.(*epic.LBServiceGroup), old.(*epic.LBServiceGroup))
}

// statusStrategy is for writes of the status.
type statusStrategy struct{ kind.BaseStrategy }

func newStatusStrategy(typer runtime.ObjectTyper) statusStrategy {
	return statusStrategy{kind.NewBaseStatusStrategy(typer)}
}

// PrepareForUpdate keeps everything but the status, and the parts of the status
// that the write leaves out and its writer may not know.
func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	a, o := obj.(*epic.LBServiceGroup), old.(*epic.LBServiceGroup)
	a.Spec = o.Spec
	kind.KeepMeta(&a.ObjectMeta, &o.ObjectMeta)
	kind.KeepConditions(&a.Status.Conditions, o.Status.Conditions)
	kind.KeepObserved(&a.Status.ObservedGeneration, o.Status.ObservedGeneration)
}

// ValidateUpdate implements rest.RESTUpdateStrategy.
func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ValidateLBServiceGroupStatusUpdate(obj.(*epic.LBServiceGroup), old.(*epic.LBServiceGroup))
}

// SPDX-License-Identifier: Apache-2.0

// Package gwendpointslice stores the endpoint slices behind gateway routes.
package gwendpointslice

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epic.GWEndpointSlice, epic.GWEndpointSliceList]{
	Resource:   epic.ResourceGWEndpointSlices,
	Singular:   "gwendpointslice",
	ShortNames: []string{"gwes", "gwess"},
	Strategy: kind.Strategy[epic.GWEndpointSlice]{
		PrepareUpdate:  func(obj, old *epic.GWEndpointSlice) { kind.KeepOwners(&obj.ObjectMeta, &old.ObjectMeta) },
		Validate:       validation.ValidateGWEndpointSlice,
		ValidateUpdate: validation.ValidateGWEndpointSliceUpdate,
		ValidateStatus: validation.ValidateGWEndpointSliceStatusUpdate,
	},
	Table:   newTable(),
	Fields:  selectable,
	Trigger: fieldParentUID,
}.NewREST

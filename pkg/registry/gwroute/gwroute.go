// SPDX-License-Identifier: Apache-2.0

// Package gwroute stores the routes of gateway proxies.
package gwroute

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epic.GWRoute, epic.GWRouteList]{
	Resource:   epic.ResourceGWRoutes,
	Singular:   "gwroute",
	ShortNames: []string{"gwr", "gwrs"},
	Strategy: kind.Strategy[epic.GWRoute]{
		PrepareUpdate:  func(obj, old *epic.GWRoute) { kind.KeepOwners(&obj.ObjectMeta, &old.ObjectMeta) },
		Validate:       validation.ValidateGWRoute,
		ValidateUpdate: validation.ValidateGWRouteUpdate,
		ValidateStatus: validation.ValidateGWRouteStatusUpdate,
	},
	Table:  newTable(),
	Fields: selectable,
}.NewREST

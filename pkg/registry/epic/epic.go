// SPDX-License-Identifier: Apache-2.0

// Package epic stores the one EPIC object, the configuration of the installation.
package epic

import (
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	epicapi "github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epicapi.EPIC, epicapi.EPICList]{
	Resource:     epicapi.ResourceEPICs,
	Singular:     "epic",
	PlatformOnly: true,
	Strategy: kind.Strategy[epicapi.EPIC]{
		PrepareStatus:  prepareStatus,
		Validate:       validation.ValidateEPIC,
		ValidateUpdate: validation.ValidateEPICUpdate,
		ValidateStatus: validation.ValidateEPICStatusUpdate,
		ResetStatus: []fieldpath.Path{
			fieldpath.MakePathOrDie("status", "current-tunnel-id"), fieldpath.MakePathOrDie("status", "current-group-id"),
		},
	},
	Table: newTable(),
}.NewREST

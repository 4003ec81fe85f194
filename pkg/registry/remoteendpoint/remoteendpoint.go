// SPDX-License-Identifier: Apache-2.0

// Package remoteendpoint stores remote endpoints, the tenants' pods behind load balancers.
package remoteendpoint

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epic.RemoteEndpoint, epic.RemoteEndpointList]{
	Resource:   epic.ResourceRemoteEndpoints,
	Singular:   "remoteendpoint",
	ShortNames: []string{"rep", "reps"},
	Strategy: kind.Strategy[epic.RemoteEndpoint]{
		PrepareUpdate: func(obj, old *epic.RemoteEndpoint) {
			kind.KeepOwners(&obj.ObjectMeta, &old.ObjectMeta)
			keepController(&obj.ObjectMeta, &old.ObjectMeta)
		},
		Validate:       validation.ValidateRemoteEndpoint,
		ValidateUpdate: validation.ValidateRemoteEndpointUpdate,
		ValidateStatus: validation.ValidateRemoteEndpointStatusUpdate,
	},
	Table:   newTable(),
	Fields:  selectable,
	Trigger: fieldNodeAddress,
}.NewREST

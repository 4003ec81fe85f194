// SPDX-License-Identifier: Apache-2.0

// Package serviceprefix stores service prefixes, the pools of public addresses.
package serviceprefix

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epic.ServicePrefix, epic.ServicePrefixList]{
	Resource:     epic.ResourceServicePrefixes,
	Singular:     "serviceprefix",
	ShortNames:   []string{"sp", "sps"},
	PlatformOnly: true,
	Strategy: kind.Strategy[epic.ServicePrefix]{
		Validate:       validation.ValidateServicePrefix,
		ValidateUpdate: validation.ValidateServicePrefixUpdate,
		ValidateStatus: validation.ValidateServicePrefixStatusUpdate,
	},
	Table: newTable(),
}.NewREST

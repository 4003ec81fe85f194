// SPDX-License-Identifier: Apache-2.0

// Package gwproxy stores gateway proxies.
package gwproxy

import (
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/validation"
	"github.com/acnodal/epic/pkg/registry/kind"
	"github.com/acnodal/epic/pkg/registry/proxy"
)

// NewREST builds the storage of the kind and of its status.
var NewREST = kind.Kind[epic.GWProxy, epic.GWProxyList]{
	Resource:   epic.ResourceGWProxies,
	Singular:   "gwproxy",
	ShortNames: []string{"gwp", "gwps"},
	Strategy: kind.Strategy[epic.GWProxy]{
		PrepareCreate: func(obj *epic.GWProxy) {
			obj.Spec.EnvoyReplicaCount = proxy.Replicas(obj.Spec.EnvoyReplicaCount, nil)
		},
		PrepareUpdate:  func(obj, old *epic.GWProxy) { proxy.Keep(proxy.GWProxy(obj), proxy.GWProxy(old)) },
		PrepareStatus:  func(obj, old *epic.GWProxy) { proxy.NormalizeStatus(&obj.Status, &old.Status) },
		Validate:       validation.ValidateGWProxy,
		ValidateUpdate: validation.ValidateGWProxyUpdate,
		ValidateStatus: validation.ValidateGWProxyStatusUpdate,
		Reset:          proxy.Copies(),
	},
	Table:  newTable(),
	Fields: selectable,
}.NewREST

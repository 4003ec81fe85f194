// SPDX-License-Identifier: Apache-2.0

package gatewaynode

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// Resource is the plural name of the kind.
const Resource = "gatewaynodes"

type (
	// REST serves the objects.
	REST = kind.REST
	// StatusREST serves their status.
	StatusREST = kind.StatusREST
)

// NewREST builds the storage of the kind and of its status.
func NewREST(scheme *runtime.Scheme, getter generic.RESTOptionsGetter, p kind.Previewer) (*REST, *StatusREST, error) {
	return kind.New(scheme, getter, p, kind.Config{
		Resource:       Resource,
		Singular:       "gatewaynode",
		PlatformOnly:   true,
		ShortNames:     []string{"gwn", "gwns"},
		NewFunc:        func() runtime.Object { return &epic.GatewayNode{} },
		NewListFunc:    func() runtime.Object { return &epic.GatewayNodeList{} },
		Strategy:       newStrategy(scheme),
		StatusStrategy: newStatusStrategy(scheme),
		Table:          newTable(),
		Fields:         selectable,
	})
}

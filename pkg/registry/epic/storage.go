// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"

	epicapi "github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

// Resource is the plural name of the kind.
const Resource = "epics"

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
		Singular:       "epic",
		PlatformOnly:   true,
		NewFunc:        func() runtime.Object { return &epicapi.EPIC{} },
		NewListFunc:    func() runtime.Object { return &epicapi.EPICList{} },
		Strategy:       newStrategy(scheme),
		StatusStrategy: newStatusStrategy(scheme),
		Table:          newTable(),
		Fields:         selectable,
	})
}

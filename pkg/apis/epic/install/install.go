// SPDX-License-Identifier: Apache-2.0

// Package install registers every version of the epic.acnodal.io API in a
// scheme.
package install

import (
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Install registers the internal and the versioned kinds and reports which version
// is preferred. It panics when they contradict each other, which only a
// programmer can cause.
func Install(scheme *runtime.Scheme) {
	utilruntime.Must(epic.AddToScheme(scheme))
	utilruntime.Must(v1.AddToScheme(scheme))
	utilruntime.Must(scheme.SetVersionPriority(v1.SchemeGroupVersion))
}

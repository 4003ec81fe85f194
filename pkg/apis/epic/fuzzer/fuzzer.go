// SPDX-License-Identifier: Apache-2.0

// Package fuzzer fills EPIC's internal objects with random values that could
// have come from a client, for tests of encoding and conversion.
package fuzzer

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	runtimeserializer "k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"sigs.k8s.io/randfill"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/apis/epic/install"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

// Funcs returns the functions that fill each kind.
func Funcs(runtimeserializer.CodecFactory) []interface{} {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return []interface{}{
		filler[epic.EPIC, v1.EPIC](scheme),
		filler[epic.Account, v1.Account](scheme),
		filler[epic.ServicePrefix, v1.ServicePrefix](scheme),
		filler[epic.LBServiceGroup, v1.LBServiceGroup](scheme),
		filler[epic.LoadBalancer, v1.LoadBalancer](scheme),
		filler[epic.RemoteEndpoint, v1.RemoteEndpoint](scheme),
		filler[epic.GWProxy, v1.GWProxy](scheme),
		filler[epic.GWRoute, v1.GWRoute](scheme),
		filler[epic.GWEndpointSlice, v1.GWEndpointSlice](scheme),
		// Only one of the two values exists on the wire.
		func(value *intstr.IntOrString, c randfill.Continue) {
			if c.Bool() {
				*value = intstr.FromInt32(c.Int31())
			} else {
				*value = intstr.FromString(c.String(0))
			}
		},
	}
}

// filler returns a function that fills an internal object of one kind. Decoding
// sets defaults, so an object that lacks them could not come back unchanged:
// the function sets them by way of the versioned kind.
func filler[Internal, Versioned any](scheme *runtime.Scheme) func(*Internal, randfill.Continue) {
	return func(object *Internal, c randfill.Continue) {
		c.FillNoCustom(object)
		versioned, ok := any(new(Versioned)).(runtime.Object)
		if !ok {
			panic(fmt.Sprintf("%T is no object", new(Versioned)))
		}
		utilruntime.Must(scheme.Convert(object, versioned, nil))
		scheme.Default(versioned)
		*object = *new(Internal)
		utilruntime.Must(scheme.Convert(versioned, object, nil))
	}
}

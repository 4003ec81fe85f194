// SPDX-License-Identifier: Apache-2.0

// Package fuzzer fills EPIC's internal objects with random values that could
// have come from a client, for tests of encoding and conversion.
package fuzzer

import (
	"fmt"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	runtimeserializer "k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
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
		filler[epic.GatewayNode, v1.GatewayNode](scheme),
		// The schema has closed lists of these, and may require one.
		oneOf(discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN),
		oneOf("", epic.SerializationJSON, epic.SerializationB64JSON, epic.SerializationYAML),
		oneOf("", v1.SerializationJSON, v1.SerializationB64JSON, v1.SerializationYAML),
		oneOf("", epic.EnvoyAPIv3),
		oneOf("", v1.EnvoyAPIv3),
		oneOf(epic.EdgeAccessLog, epic.EdgeHealthCheck, epic.EdgeHTTP3, epic.EdgeOutlierDetection, epic.EdgeProxyProtocol, epic.EdgeTracing),
		oneOf(v1.EdgeAccessLog, v1.EdgeHealthCheck, v1.EdgeHTTP3, v1.EdgeOutlierDetection, v1.EdgeProxyProtocol, v1.EdgeTracing),
		oneOf("", epic.EdgeEnabled, epic.EdgeDisabled),
		oneOf("", v1.EdgeEnabled, v1.EdgeDisabled),
		oneOf("", epic.ProxyProtocolNotExpected, epic.ProxyProtocolRequired),
		oneOf("", v1.ProxyProtocolNotExpected, v1.ProxyProtocolRequired),
		oneOf("", epic.ProxyProtocolNone, epic.ProxyProtocolV1, epic.ProxyProtocolV2),
		oneOf("", v1.ProxyProtocolNone, v1.ProxyProtocolV1, v1.ProxyProtocolV2),
		oneOf("", epic.HealthCheckHTTP, epic.HealthCheckGRPC, epic.HealthCheckTCP, epic.HealthCheckNone),
		oneOf("", v1.HealthCheckHTTP, v1.HealthCheckGRPC, v1.HealthCheckTCP, v1.HealthCheckNone),
		oneOf("", epic.OutlierGatewayErrors, epic.OutlierServerErrors),
		oneOf("", v1.OutlierGatewayErrors, v1.OutlierServerErrors),
		oneOf("", epic.AccessLogJSON, epic.AccessLogText, epic.AccessLogNone),
		oneOf("", v1.AccessLogJSON, v1.AccessLogText, v1.AccessLogNone),
		// The Go types of these have more bits than the schema's.
		func(value *gatewayv1.HTTPRouteRetryStatusCode, c randfill.Continue) {
			*value = gatewayv1.HTTPRouteRetryStatusCode(400 + c.Intn(200))
		},
		func(value *gatewayv1.HTTPRouteRetry, c randfill.Continue) {
			c.FillNoCustom(value)
			if value.Attempts != nil {
				*value.Attempts = int(c.Int31())
			}
		},
		// A TCP, UDP or TLS route without rules is refused, and a rule of it without
		// backends.
		atLeastOne(func(spec *gatewayv1.TCPRouteSpec) *[]gatewayv1.TCPRouteRule { return &spec.Rules }),
		atLeastOne(func(rule *gatewayv1.TCPRouteRule) *[]gatewayv1.BackendRef { return &rule.BackendRefs }),
		atLeastOne(func(spec *gatewayv1.UDPRouteSpec) *[]gatewayv1.UDPRouteRule { return &spec.Rules }),
		atLeastOne(func(rule *gatewayv1.UDPRouteRule) *[]gatewayv1.BackendRef { return &rule.BackendRefs }),
		func(value *gatewayv1.TLSRouteSpec, c randfill.Continue) {
			atLeastOne(func(spec *gatewayv1.TLSRouteSpec) *[]gatewayv1.TLSRouteRule { return &spec.Rules })(value, c)
			if len(value.Hostnames) == 0 {
				value.Hostnames = []gatewayv1.Hostname{"www.example.com"}
			}
		},
		atLeastOne(func(rule *gatewayv1.TLSRouteRule) *[]gatewayv1.BackendRef { return &rule.BackendRefs }),
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

// atLeastOne returns a function that fills a value, and one item of its list where that
// is empty.
func atLeastOne[T, Item any](list func(*T) *[]Item) func(*T, randfill.Continue) {
	return func(value *T, c randfill.Continue) {
		c.FillNoCustom(value)
		if all := list(value); len(*all) == 0 {
			*all = make([]Item, 1)
			c.Fill(&(*all)[0])
		}
	}
}

// oneOf returns a function that chooses a value of a closed list.
func oneOf[T any](all ...T) func(*T, randfill.Continue) {
	return func(value *T, c randfill.Continue) { *value = all[c.Intn(len(all))] }
}

// filler returns a function that fills an internal object of one kind. Decoding
// sets defaults, so an object that lacks them could not come back unchanged:
// the function sets them through the versioned kind.
func filler[Internal, Versioned any](scheme *runtime.Scheme) func(*Internal, randfill.Continue) {
	return func(object *Internal, c randfill.Continue) {
		c.FillNoCustom(object)
		versioned, ok := any(new(Versioned)).(runtime.Object)
		if !ok {
			panic(fmt.Sprintf("%T is not an object", new(Versioned)))
		}
		utilruntime.Must(scheme.Convert(object, versioned, nil))
		scheme.Default(versioned)
		*object = *new(Internal)
		utilruntime.Must(scheme.Convert(versioned, object, nil))
	}
}

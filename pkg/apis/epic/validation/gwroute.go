// SPDX-License-Identifier: Apache-2.0

package validation

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateGWRoute checks a new object.
func ValidateGWRoute(obj *epic.GWRoute) field.ErrorList {
	errs := dnsName(metaPath.Child("name"), obj.Name)
	errs = append(errs, inAccountNamespace(&obj.ObjectMeta, "a gateway route")...)
	return append(errs, gwRouteSpec(&obj.Spec)...)
}

// ValidateGWRouteUpdate checks a change of an object.
func ValidateGWRouteUpdate(obj, old *epic.GWRoute) field.ErrorList {
	errs := immutableLabels(&obj.ObjectMeta, &old.ObjectMeta)
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return errs
	}
	return append(errs, gwRouteSpec(&obj.Spec)...)
}

// ValidateGWRouteStatusUpdate checks a change of an object's status.
func ValidateGWRouteStatusUpdate(obj, _ *epic.GWRoute) field.ErrorList {
	errs := statusBase(obj.Status.ObservedGeneration, obj.Status.Conditions)
	return append(errs, parentStatuses(statusPath.Child("parents"), obj.Status.Parents)...)
}

func gwRouteSpec(spec *epic.GWRouteSpec) field.ErrorList {
	errs := ref(specPath.Child("clientRef"), spec.ClientRef)
	if spec.HTTP == nil && spec.GRPC == nil && spec.TLS == nil && spec.TCP == nil && spec.UDP == nil {
		return append(errs, field.Required(specPath, "must have the spec of a route in http, grpc, tls, tcp or udp: add one"))
	}
	if spec.HTTP != nil {
		errs = append(errs, httpRoute(specPath.Child("http"), &spec.HTTP.HTTPRouteSpec)...)
	}
	if spec.GRPC != nil {
		errs = append(errs, grpcRoute(specPath.Child("grpc"), &spec.GRPC.GRPCRouteSpec)...)
	}
	if spec.TLS != nil {
		errs = append(errs, tlsRoute(specPath.Child("tls"), &spec.TLS.TLSRouteSpec)...)
	}
	if spec.TCP != nil {
		errs = append(errs, tcpRoute(specPath.Child("tcp"), &spec.TCP.TCPRouteSpec)...)
	}
	if spec.UDP != nil {
		errs = append(errs, udpRoute(specPath.Child("udp"), &spec.UDP.UDPRouteSpec)...)
	}
	return append(errs, routeBackends(specPath.Child("backends"), spec.Backends)...)
}

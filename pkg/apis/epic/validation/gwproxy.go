// SPDX-License-Identifier: Apache-2.0

package validation

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateGWProxy checks a new object.
func ValidateGWProxy(obj *epic.GWProxy) field.ErrorList {
	// Clients name a proxy by the uid of a Gateway, or by the key under which
	// several clusters share it, which may have dots. Where a DNS label is made from
	// it, epic.NameLabel makes one.
	errs := dnsName(metaPath.Child("name"), obj.Name)
	errs = append(errs, inAccountNamespace(&obj.ObjectMeta, "a gateway proxy")...)
	errs = append(errs, ownerNamed(&obj.ObjectMeta, epic.OwningLBServiceGroupLabel, "a service group in this namespace or in "+epic.ConfigNamespace)...)
	return append(errs, gwProxySpec(obj.Namespace, &obj.Spec)...)
}

// ValidateGWProxyUpdate checks a change of an object.
func ValidateGWProxyUpdate(obj, old *epic.GWProxy) field.ErrorList {
	errs := immutableLabels(&obj.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, unchanged(specPath.Child("public-address"), obj.Spec.PublicAddress, old.Spec.PublicAddress, "leave it out, or create another gateway proxy")...)
	errs = append(errs, unchanged(specPath.Child("alt-address"), obj.Spec.AltAddress, old.Spec.AltAddress, "leave it out, or create another gateway proxy")...)
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return errs
	}
	return append(errs, gwProxySpec(obj.Namespace, &obj.Spec)...)
}

// ValidateGWProxyStatusUpdate checks a change of an object's status.
func ValidateGWProxyStatusUpdate(obj, old *epic.GWProxy) field.ErrorList {
	return proxyStatus(&obj.Status, &old.Status)
}

func gwProxySpec(namespace string, spec *epic.GWProxySpec) field.ErrorList {
	errs := ref(specPath.Child("clientRef"), spec.ClientRef)
	errs = append(errs, text(specPath.Child("display-name"), spec.DisplayName, maxName)...)
	_, more := addressOrNone(specPath.Child("public-address"), spec.PublicAddress)
	errs = append(errs, more...)
	alt, more := addressOrNone(specPath.Child("alt-address"), spec.AltAddress)
	errs = append(errs, more...)
	if alt.Is6() {
		errs = append(errs, field.Invalid(specPath.Child("alt-address"), spec.AltAddress, "must be an IPv4 address: set an IPv6 address as public-address"))
	}
	errs = append(errs, listenerPorts(specPath.Child("public-ports"), spec.PublicPorts)...)
	errs = append(errs, envoyTemplate(specPath.Child("envoy-template"), spec.EnvoyTemplate)...)
	errs = append(errs, ownSecrets(specPath.Child("envoy-template"), namespace, spec.EnvoyTemplate)...)
	errs = append(errs, ownReferences(specPath.Child("gateway"), namespace, spec.Gateway)...)
	errs = append(errs, replicas(specPath.Child("envoy-replica-count"), spec.EnvoyReplicaCount)...)
	errs = append(errs, edge(specPath.Child("edge"), spec.Edge)...)
	errs = append(errs, dnsEndpoints(specPath.Child("endpoints"), spec.Endpoints)...)
	if spec.Gateway != nil {
		errs = append(errs, gateway(specPath.Child("gateway"), &spec.Gateway.GatewaySpec)...)
	}
	return errs
}

// SPDX-License-Identifier: Apache-2.0

package validation

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// ValidateRemoteEndpoint checks a new object.
func ValidateRemoteEndpoint(obj *epic.RemoteEndpoint) field.ErrorList {
	errs := dnsName(metaPath.Child("name"), obj.Name)
	errs = append(errs, inAccountNamespace(&obj.ObjectMeta, "a remote endpoint")...)
	errs = append(errs, ownerNamed(&obj.ObjectMeta, epic.OwningLoadBalancerLabel, "a load balancer in this namespace")...)
	return append(errs, remoteEndpointSpec(&obj.Spec)...)
}

// ValidateRemoteEndpointUpdate checks a change of an object.
func ValidateRemoteEndpointUpdate(obj, old *epic.RemoteEndpoint) field.ErrorList {
	errs := immutableLabels(&obj.ObjectMeta, &old.ObjectMeta)
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return errs
	}
	return append(errs, remoteEndpointSpec(&obj.Spec)...)
}

// ValidateRemoteEndpointStatusUpdate checks a change of an object's status.
func ValidateRemoteEndpointStatusUpdate(obj, _ *epic.RemoteEndpoint) field.ErrorList {
	errs := statusBase(obj.Status.ObservedGeneration, obj.Status.Conditions)
	errs = append(errs, notNegative(statusPath.Child("proxy-ifindex"), obj.Status.ProxyIfIndex)...)
	return append(errs, notNegative(statusPath.Child("tunnel-id"), obj.Status.TunnelID)...)
}

func remoteEndpointSpec(spec *epic.RemoteEndpointSpec) field.ErrorList {
	errs := cluster(specPath.Child("cluster"), spec.Cluster)
	_, more := endpointAddress(specPath.Child("address"), spec.Address)
	errs = append(errs, more...)
	_, more = addressOrNone(specPath.Child("node-address"), spec.NodeAddress)
	errs = append(errs, more...)
	path := specPath.Child("port")
	errs = append(errs, port(path.Child("port"), spec.Port.Port)...)
	errs = append(errs, protocol(path.Child("protocol"), spec.Port.Protocol)...)
	return append(errs, portNames(path, spec.Port.Name, spec.Port.AppProtocol)...)
}

// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind in this package.
const GroupName = "epic.acnodal.io"

// SchemeGroupVersion is the group with the internal pseudo-version.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: runtime.APIVersionInternal}

var (
	// SchemeBuilder collects what AddToScheme registers.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme registers the internal kinds.
	AddToScheme = SchemeBuilder.AddToScheme
)

// Kind qualifies an unqualified kind with this package's group.
func Kind(kind string) schema.GroupKind {
	return SchemeGroupVersion.WithKind(kind).GroupKind()
}

// Resource qualifies an unqualified resource name with this package's group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&EPIC{}, &EPICList{},
		&Account{}, &AccountList{},
		&ServicePrefix{}, &ServicePrefixList{},
		&LBServiceGroup{}, &LBServiceGroupList{},
		&LoadBalancer{}, &LoadBalancerList{},
		&RemoteEndpoint{}, &RemoteEndpointList{},
		&GWProxy{}, &GWProxyList{},
		&GWRoute{}, &GWRouteList{},
		&GWEndpointSlice{}, &GWEndpointSliceList{},
		&GatewayNode{}, &GatewayNodeList{},
		&ClaimAudit{},
		&TunnelKeys{},
	)
	return nil
}

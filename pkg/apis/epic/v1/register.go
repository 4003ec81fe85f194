// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind in this package.
const GroupName = "epic.acnodal.io"

// SchemeGroupVersion is the group and version of every kind in this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

var (
	// SchemeBuilder collects what AddToScheme registers.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// localSchemeBuilder is the name under which generated code adds to it.
	localSchemeBuilder = &SchemeBuilder
	// AddToScheme registers the kinds, their defaults and their conversions.
	AddToScheme = localSchemeBuilder.AddToScheme
)

func init() {
	// Generated conversions register themselves; the defaults do not, because the
	// generator leaves the choice of scheme to the package.
	localSchemeBuilder.Register(addDefaultingFuncs)
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
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// BundleVersionAnnotation on a CustomResourceDefinition of the Gateway API contains its
// version.
const BundleVersionAnnotation = "gateway.networking.k8s.io/bundle-version"

// supportedVersion is the prefix of the versions of the Gateway API that the connector
// supports.
const supportedVersion = "v1.6."

// Class returns the status of a GatewayClass, or nil if it does not belong to the
// connector. versions holds the versions of the Gateway API's CustomResourceDefinitions,
// by name.
func Class(config *Config, class *gatewayv1.GatewayClass, versions map[string]string) *gatewayv1.GatewayClassStatus {
	if class.Spec.ControllerName != ControllerName {
		return nil
	}
	_, accepted := groupOf(config, class)
	c := conditions{generation: class.Generation}
	c.state(string(gatewayv1.GatewayClassConditionStatusAccepted), accepted, string(gatewayv1.GatewayClassReasonAccepted), "Gateways of this class are published in EPIC")
	c.state(string(gatewayv1.GatewayClassConditionStatusSupportedVersion), versionVerdict(versions), string(gatewayv1.GatewayClassReasonSupportedVersion),
		"the Gateway API is "+supportedVersion+"x")
	return &gatewayv1.GatewayClassStatus{Conditions: c.list, SupportedFeatures: Features()}
}

func versionVerdict(versions map[string]string) verdict {
	var v verdict
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		if !strings.HasPrefix(versions[name], supportedVersion) {
			v.refuse(string(gatewayv1.GatewayClassReasonUnsupportedVersion), fmt.Sprintf("the CustomResourceDefinition %s has the version %q, but %sx is supported: "+
				"install that version, experimental channel; other versions are served as far as they are compatible", name, versions[name], supportedVersion))
		}
	}
	return v
}

// groupOf returns the service group that a class names, or the connector's default.
func groupOf(config *Config, class *gatewayv1.GatewayClass) (string, verdict) {
	var v verdict
	invalid := string(gatewayv1.GatewayClassReasonInvalidParameters)
	name := config.Group
	if ref := class.Spec.ParametersRef; ref != nil {
		switch {
		case ref.Group != epic.GroupName || ref.Kind != GroupKind:
			v.refuse(invalid, fmt.Sprintf("parametersRef names the kind %s of the group %q: use a %s of the group %s", ref.Kind, ref.Group, GroupKind, epic.GroupName))
		case ref.Namespace != nil && *ref.Namespace != "":
			v.refuse(invalid, "parametersRef names a service group of EPIC, which has no namespace in this cluster: remove the namespace")
		}
		name = ref.Name
	}
	if known := config.knowsGroup(name); known.no {
		v.refuse(invalid, known.message)
	}
	return name, v
}

// knowsGroup rejects a service group that the account may not use.
func (c *Config) knowsGroup(name string) verdict {
	var v verdict
	switch {
	case c.Groups != nil && c.Groups.Len() == 0:
		v.refuse(string(gatewayv1.GatewayReasonInvalidParameters), "the account may not use any service group: ask the platform team for one")
	case name == "":
		v.refuse(string(gatewayv1.GatewayReasonInvalidParameters), "no service group is set: set one in parametersRef of the GatewayClass, or start the connector with --service-group")
	case c.Groups != nil && !c.Groups.Has(name):
		v.refuse(string(gatewayv1.GatewayReasonInvalidParameters), fmt.Sprintf("the account may not use the service group %q: use one of %s", name, list(slices.Sorted(maps.Keys(c.Groups)))))
	}
	return v
}

// Features returns the features of the Gateway API that the connector and EPIC support,
// sorted: all except those of service meshes.
func Features() []gatewayv1.SupportedFeature {
	var all []gatewayv1.SupportedFeature
	for _, f := range features.AllFeatures.UnsortedList() {
		if !features.MeshCoreFeatures.Has(f) && !features.MeshExtendedFeatures.Has(f) {
			all = append(all, gatewayv1.SupportedFeature{Name: gatewayv1.FeatureName(f.Name)})
		}
	}
	slices.SortFunc(all, func(a, b gatewayv1.SupportedFeature) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	maxNICs         = 32
	maxServiceCIDRs = 16
	maxDeniedCIDRs  = 256
	maxCIDRText     = 1024
	// maxNodes bounds the entries that gateway nodes write about themselves.
	maxNodes = 1024
	// maxVersion is for the version of a program, as it is built.
	maxVersion = 128
	// maxNodeConditions is for one of them.
	maxNodeConditions = 16
)

// ValidateEPIC checks a new object.
func ValidateEPIC(obj *epic.EPIC) field.ErrorList {
	var errs field.ErrorList
	if obj.Name != epic.ConfigName {
		errs = append(errs, field.Invalid(metaPath.Child("name"), quoted(obj.Name), "there is only one EPIC object, named "+epic.ConfigName+": use that name"))
	}
	errs = append(errs, inConfigNamespace(&obj.ObjectMeta, "the EPIC object")...)
	return append(errs, epicSpec(&obj.Spec)...)
}

// ValidateEPICUpdate checks a change of an object.
func ValidateEPICUpdate(obj, old *epic.EPIC) field.ErrorList {
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return nil
	}
	return epicSpec(&obj.Spec)
}

// ValidateEPICStatusUpdate checks a change of an object's status.
func ValidateEPICStatusUpdate(obj, old *epic.EPIC) field.ErrorList {
	errs := statusBase(obj.Status.ObservedGeneration, obj.Status.Conditions)
	errs = append(errs, serverOnly(statusPath.Child("current-tunnel-id"), obj.Status.CurrentTunnelID, old.Status.CurrentTunnelID)...)
	errs = append(errs, serverOnly(statusPath.Child("current-group-id"), obj.Status.CurrentGroupID, old.Status.CurrentGroupID)...)
	if n := obj.Status.GatewayNodes; n != nil {
		errs = append(errs, notNegative(statusPath.Child("gateway-nodes"), *n)...)
	}
	return append(errs, gatewayNodes(statusPath.Child("nodes"), obj.Status.Nodes)...)
}

// gatewayNodes checks what gateway nodes say of themselves.
func gatewayNodes(path *field.Path, all map[string]epic.EPICNodeStatus) field.ErrorList {
	if errs := atMost(path, len(all), maxNodes); len(errs) > 0 {
		return errs
	}
	return entries(path, all, func(at *field.Path, key string, node epic.EPICNodeStatus) field.ErrorList {
		_, errs := address(at, key)
		errs = append(errs, word(at.Child("name"), node.Name, maxName)...)
		errs = append(errs, word(at.Child("version"), node.Version, maxVersion)...)
		errs = append(errs, notNegative(at.Child("tunnels"), node.Tunnels)...)
		errs = append(errs, notNegative(at.Child("tunnels-up"), node.TunnelsUp)...)
		if node.TunnelsUp > node.Tunnels && node.Tunnels >= 0 {
			errs = append(errs, field.Invalid(at.Child("tunnels-up"), node.TunnelsUp, fmt.Sprintf("is more than tunnels (%d), which must include the tunnels that are up: correct one of the two", node.Tunnels)))
		}
		if more := atMost(at.Child("conditions"), len(node.Conditions), maxNodeConditions); len(more) > 0 {
			return append(errs, more...)
		}
		return append(errs, few(metav1validation.ValidateConditions(node.Conditions, at.Child("conditions")))...)
	})
}

func epicSpec(spec *epic.EPICSpec) field.ErrorList {
	errs := image(specPath.Child("eds-image"), spec.EDSImage)
	errs = append(errs, image(specPath.Child("envoy-image"), spec.EnvoyImage)...)
	errs = append(errs, image(specPath.Child("xds-image"), spec.XDSImage)...)
	errs = append(errs, serviceCIDR(specPath.Child("service-cidr"), spec.ServiceCIDR)...)
	errs = append(errs, deniedCIDRs(specPath.Child("denied-endpoint-cidrs"), spec.DeniedEndpointCIDRs)...)

	base := specPath.Child("base")
	errs = append(errs, interfaceNames(base.Child("gue-ingress-nics"), spec.Base.GUEIngressNICs)...)
	if spec.Base.BGP != nil {
		errs = append(errs, bgp(base.Child("bgp"), spec.Base.BGP)...)
	}
	if spec.Base.Layer2 != nil {
		errs = append(errs, layer2(base.Child("layer2"), spec.Base.Layer2)...)
	}
	endpoint := base.Child("gue-endpoint")
	_, more := addressOrNone(endpoint.Child("epic-address"), spec.Base.GUEEndpoint.EPICAddress)
	errs = append(errs, more...)
	errs = append(errs, notNegative(endpoint.Child("tunnel-id"), spec.Base.GUEEndpoint.TunnelID)...)
	return append(errs, tunnelPort(endpoint.Child("epic-port"), spec.Base.GUEEndpoint.EPICPort)...)
}

// deniedCIDRs checks the networks that endpoints must not be in.
func deniedCIDRs(path *field.Path, cidrs []string) field.ErrorList {
	errs := atMost(path, len(cidrs), maxDeniedCIDRs)
	if len(errs) > 0 {
		return errs
	}
	for i, c := range cidrs {
		if full(errs) {
			break
		}
		_, more := prefix(path.Index(i), c)
		errs = append(errs, more...)
	}
	return errs
}

// serviceCIDR checks prefixes with commas between them.
func serviceCIDR(path *field.Path, s string) field.ErrorList {
	if s == "" {
		return nil
	}
	if errs := text(path, s, maxCIDRText); len(errs) > 0 {
		return errs
	}
	cidrs := strings.Split(s, ",")
	if errs := atMost(path, len(cidrs), maxServiceCIDRs); len(errs) > 0 {
		return errs
	}
	var errs field.ErrorList
	for _, c := range cidrs {
		if full(errs) {
			break
		}
		if c == "" || strings.TrimSpace(c) != c {
			return field.ErrorList{field.Invalid(path, quoted(s), "must be CIDRs separated by commas, without spaces: write it as 10.96.0.0/12,fd00::/108")}
		}
		_, more := prefix(path, c)
		errs = append(errs, more...)
	}
	return errs
}

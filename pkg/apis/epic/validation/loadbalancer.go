// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// maxClusters is the maximum number of a tenant's clusters that one load balancer serves.
const maxClusters = 256

// ValidateLoadBalancer checks a new object.
func ValidateLoadBalancer(obj *epic.LoadBalancer) field.ErrorList {
	// A Service and DNS names are made from the name.
	errs := dnsLabel(metaPath.Child("name"), obj.Name)
	errs = append(errs, inAccountNamespace(&obj.ObjectMeta, "a load balancer")...)
	errs = append(errs, serviceGroup(obj)...)
	errs = append(errs, broughtID(specPath.Child("service-id"), obj.Spec.ServiceID)...)
	return append(errs, loadBalancerSpec(obj.Namespace, &obj.Spec)...)
}

// ValidateLoadBalancerUpdate checks a change of an object.
func ValidateLoadBalancerUpdate(obj, old *epic.LoadBalancer) field.ErrorList {
	errs := immutableLabels(&obj.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, unchanged(specPath.Child("service-group"), obj.Spec.ServiceGroup, old.Spec.ServiceGroup, "leave it, or create another load balancer")...)
	errs = append(errs, unchanged(specPath.Child("public-address"), obj.Spec.PublicAddress, old.Spec.PublicAddress, "leave it out, or create another load balancer")...)
	errs = append(errs, serverOnly(specPath.Child("service-id"), obj.Spec.ServiceID, old.Spec.ServiceID)...)
	errs = append(errs, stillTunneled(specPath.Child("true-ingress"), obj.Spec.TrueIngress, old.Spec.TrueIngress)...)
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return errs
	}
	return append(errs, loadBalancerSpec(obj.Namespace, &obj.Spec)...)
}

// ValidateLoadBalancerStatusUpdate checks a change of an object's status.
func ValidateLoadBalancerStatusUpdate(obj, old *epic.LoadBalancer) field.ErrorList {
	return proxyStatus(&obj.Status, &old.Status)
}

// stillTunneled checks that an update does not switch tunnels off. Without
// tunnels, endpoints must not have addresses of the gateway cluster, which was
// checked when they were created.
func stillTunneled(path *field.Path, tunnels, old *bool) field.ErrorList {
	if tunnels == nil || *tunnels || old != nil && !*old {
		return nil
	}
	return field.ErrorList{field.Invalid(path, false, "can't be switched off on an existing load balancer: create another load balancer without tunnels")}
}

// serviceGroup checks that the spec and the label name one group. Where only
// one of them does, the other has been set before.
func serviceGroup(obj *epic.LoadBalancer) field.ErrorList {
	path := specPath.Child("service-group")
	label := obj.Labels[epic.OwningLBServiceGroupLabel]
	switch {
	case obj.Spec.ServiceGroup == "":
		return field.ErrorList{field.Required(path, "must name a service group in this namespace or in "+epic.ConfigNamespace+
			": set it, or the label "+epic.OwningLBServiceGroupLabel)}
	case label != obj.Spec.ServiceGroup:
		return field.ErrorList{field.Invalid(path, quoted(obj.Spec.ServiceGroup),
			fmt.Sprintf("must be equal to the label %s, which is %q: leave one of the two out", epic.OwningLBServiceGroupLabel, quoted(label)))}
	}
	return dnsLabel(path, obj.Spec.ServiceGroup)
}

func loadBalancerSpec(namespace string, spec *epic.LoadBalancerSpec) field.ErrorList {
	errs := text(specPath.Child("display-name"), spec.DisplayName, maxName)
	_, more := addressOrNone(specPath.Child("public-address"), spec.PublicAddress)
	errs = append(errs, more...)
	errs = append(errs, servicePorts(specPath.Child("public-ports"), spec.PublicPorts)...)
	errs = append(errs, envoyTemplate(specPath.Child("envoy-template"), spec.EnvoyTemplate)...)
	errs = append(errs, ownSecrets(specPath.Child("envoy-template"), namespace, spec.EnvoyTemplate)...)
	errs = append(errs, replicas(specPath.Child("envoy-replica-count"), spec.EnvoyReplicaCount)...)
	errs = append(errs, streamEdge(specPath.Child("edge"), spec.Edge)...)
	errs = append(errs, dnsEndpoints(specPath.Child("endpoints"), spec.Endpoints)...)
	return append(errs, upstreamClusters(specPath.Child("upstream-clusters"), spec.UpstreamClusters)...)
}

func upstreamClusters(path *field.Path, clusters []string) field.ErrorList {
	errs := atMost(path, len(clusters), maxClusters)
	if len(errs) > 0 {
		return errs
	}
	seen := map[string]bool{}
	for i, c := range clusters {
		if full(errs) {
			break
		}
		errs = append(errs, cluster(path.Index(i), c)...)
		if seen[c] {
			errs = append(errs, field.Duplicate(path.Index(i), quoted(c)))
		}
		seen[c] = true
	}
	return errs
}

// cluster checks the ID of a tenant's cluster, which the tenant chooses.
func cluster(path *field.Path, id string) field.ErrorList {
	if id == "" {
		return field.ErrorList{field.Required(path, "must be the ID of a client cluster")}
	}
	return word(path, id, maxName)
}

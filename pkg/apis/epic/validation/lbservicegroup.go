// SPDX-License-Identifier: Apache-2.0

package validation

import (
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// maxSnapshots is the maximum number of counters in a group's status.
const maxSnapshots = 10000

// ValidateLBServiceGroup checks a new object.
func ValidateLBServiceGroup(obj *epic.LBServiceGroup) field.ErrorList {
	errs := dnsLabel(metaPath.Child("name"), obj.Name)
	if obj.Namespace != epic.ConfigNamespace && !isAccountNamespace(obj.Namespace) {
		errs = append(errs, field.Invalid(metaPath.Child("namespace"), obj.Namespace,
			"a service group belongs in an account's namespace, "+epic.AccountNamespacePrefix+"NAME, or in "+epic.ConfigNamespace+", where it is for every account: create it there"))
	}
	for _, e := range ownerNamed(&obj.ObjectMeta, epic.OwningServicePrefixLabel, "a service prefix in the namespace "+epic.ConfigNamespace) {
		if full(errs) {
			break
		}
		// Existing clients look for these words.
		e.Detail = "error getting owning SP: " + e.Detail
		errs = append(errs, e)
	}
	return append(errs, lbServiceGroupSpec(obj.Namespace, &obj.Spec)...)
}

// ValidateLBServiceGroupUpdate checks a change of an object.
func ValidateLBServiceGroupUpdate(obj, old *epic.LBServiceGroup) field.ErrorList {
	errs := immutableLabels(&obj.ObjectMeta, &old.ObjectMeta)
	if apiequality.Semantic.DeepEqual(obj.Spec, old.Spec) {
		return errs
	}
	return append(errs, lbServiceGroupSpec(obj.Namespace, &obj.Spec)...)
}

// ValidateLBServiceGroupStatusUpdate checks a change of an object's status.
func ValidateLBServiceGroupStatusUpdate(obj, _ *epic.LBServiceGroup) field.ErrorList {
	errs := statusBase(obj.Status.ObservedGeneration, obj.Status.Conditions)
	path := statusPath.Child("proxy-snapshot-versions")
	if more := atMost(path, len(obj.Status.ProxySnapshotVersions), maxSnapshots); len(more) > 0 {
		return append(errs, more...)
	}
	return append(errs, entries(path, obj.Status.ProxySnapshotVersions, func(at *field.Path, name string, _ int32) field.ErrorList {
		return word(at, name, maxName)
	})...)
}

func lbServiceGroupSpec(namespace string, spec *epic.LBServiceGroupSpec) field.ErrorList {
	errs := image(specPath.Child("envoy-image"), spec.EnvoyImage)
	errs = append(errs, replicas(specPath.Child("envoy-replica-count"), spec.EnvoyReplicaCount)...)
	errs = append(errs, envoyTemplate(specPath.Child("envoy-template"), spec.EnvoyTemplate)...)
	errs = append(errs, ownSecrets(specPath.Child("envoy-template"), namespace, spec.EnvoyTemplate)...)
	errs = append(errs, groupEdge(specPath.Child("edge"), spec.Edge)...)
	errs = append(errs, overrides(specPath.Child("edge-overrides"), spec.EdgeOverrides)...)
	return append(errs, dnsTemplate(specPath.Child("endpoint-template"), spec.EndpointTemplate)...)
}

// ownerNamed checks that a label names an owner.
func ownerNamed(m *metav1.ObjectMeta, label, what string) field.ErrorList {
	path := metaPath.Child("labels").Key(label)
	if m.Labels[label] == "" {
		return field.ErrorList{field.Required(path, "must name "+what+": set the label")}
	}
	return dnsLabel(path, m.Labels[label])
}

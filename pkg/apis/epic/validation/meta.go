// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

var (
	metaPath   = field.NewPath("metadata")
	specPath   = field.NewPath("spec")
	statusPath = field.NewPath("status")
)

// OwnerLabels say to whom an object belongs. They never change.
var OwnerLabels = []string{
	epic.OwningAccountLabel,
	epic.OwningLBServiceGroupLabel,
	epic.OwningLBServiceGroupNamespaceLabel,
	epic.OwningServicePrefixLabel,
	epic.OwningLoadBalancerLabel,
	epic.OwningProxyLabel,
}

// inConfigNamespace checks that an object is where the platform team's are.
func inConfigNamespace(m *metav1.ObjectMeta, what string) field.ErrorList {
	if m.Namespace == epic.ConfigNamespace {
		return nil
	}
	return field.ErrorList{field.Invalid(metaPath.Child("namespace"), m.Namespace,
		fmt.Sprintf("%s belongs in the namespace %s: create it there", what, epic.ConfigNamespace))}
}

// inAccountNamespace checks that an object is where an account's are.
func inAccountNamespace(m *metav1.ObjectMeta, what string) field.ErrorList {
	if isAccountNamespace(m.Namespace) {
		return nil
	}
	return field.ErrorList{field.Invalid(metaPath.Child("namespace"), m.Namespace,
		fmt.Sprintf("%s belongs in an account's namespace, %sNAME: create it there", what, epic.AccountNamespacePrefix))}
}

func isAccountNamespace(namespace string) bool {
	name, ok := strings.CutPrefix(namespace, epic.AccountNamespacePrefix)
	return ok && name != ""
}

// immutableLabels checks that an update changes no owner.
func immutableLabels(m, old *metav1.ObjectMeta) field.ErrorList {
	var errs field.ErrorList
	for _, key := range OwnerLabels {
		is, has := m.Labels[key]
		was, had := old.Labels[key]
		switch {
		case is == was && has == had:
		case !had:
			errs = append(errs, field.Invalid(metaPath.Child("labels").Key(key), quoted(is), "is set by the server, or when the object is created: leave it out"))
		default:
			errs = append(errs, field.Invalid(metaPath.Child("labels").Key(key), quoted(is),
				fmt.Sprintf("names the object's owner and can't be changed: keep %q, or create another object", was)))
		}
	}
	return errs
}

// unchanged checks a field that is fixed once it is set. An update that leaves
// it out has been given the old value before.
func unchanged[T comparable](path *field.Path, value, old T, way string) field.ErrorList {
	var zero T
	if value == old || old == zero {
		return nil
	}
	return field.ErrorList{field.Invalid(path, value, fmt.Sprintf("can't be changed from %v: %s", old, way))}
}

// serverOnly checks a number that only the server gives.
func serverOnly(path *field.Path, n, old int32) field.ErrorList {
	if n == old {
		return nil
	}
	if old == 0 {
		return field.ErrorList{field.Invalid(path, n, "is assigned by the server: leave it out")}
	}
	return field.ErrorList{field.Invalid(path, n, fmt.Sprintf("was assigned by the server and can't be changed from %d: leave it out", old))}
}

// broughtID checks a number that the server assigned once, in a new object that
// comes out of a backup or a repository. Whether the object can have it again is
// decided where claims are made.
func broughtID(path *field.Path, n int32) field.ErrorList {
	if n >= 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, n, "is assigned by the server, starting at 1: leave it out")}
}

// statusBase checks what every status has.
func statusBase(observed int64, held []metav1.Condition) field.ErrorList {
	errs := notNegative(statusPath.Child("observedGeneration"), observed)
	return append(errs, conditions(statusPath.Child("conditions"), held)...)
}

// ref checks a reference to an object in a tenant's cluster. Nobody here can
// look it up, so only its size and its characters matter.
func ref(path *field.Path, r epic.ClientRef) field.ErrorList {
	errs := word(path.Child("clusterID"), r.ClusterID, maxName)
	errs = append(errs, word(path.Child("namespace"), r.Namespace, maxName)...)
	errs = append(errs, word(path.Child("name"), r.Name, maxName)...)
	return append(errs, word(path.Child("uid"), r.UID, maxName)...)
}

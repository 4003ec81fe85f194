// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"math"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/acnodal/epic/pkg/apis/epic"
)

const (
	// maxAccountName leaves room for the prefix in the name of a namespace.
	maxAccountName = 63 - len(epic.AccountNamespacePrefix)
	// maxProxyLimit bounds the places that the server keeps count of.
	maxProxyLimit = 100000
)

// ValidateAccount checks a new object.
func ValidateAccount(obj *epic.Account) field.ErrorList {
	name := metaPath.Child("name")
	errs := dnsLabel(name, obj.Name)
	if len(obj.Name) > maxAccountName {
		errs = append(errs, field.Invalid(name, quoted(obj.Name),
			fmt.Sprintf("is longer than %d characters, so its namespace could not be called %sNAME: shorten it", maxAccountName, epic.AccountNamespacePrefix)))
	}
	if namespace := epic.AccountNamespace(obj.Name); namespace == epic.SystemNamespace || namespace == epic.NodeNamespace {
		errs = append(errs, field.Invalid(name, obj.Name,
			fmt.Sprintf("the namespace %s is that of EPIC's own programs: choose another name", namespace)))
	}
	if len(errs) == 0 && obj.Namespace != epic.AccountNamespace(obj.Name) {
		errs = append(errs, field.Invalid(metaPath.Child("namespace"), obj.Namespace,
			fmt.Sprintf("the account %s belongs in the namespace %s: create it there, or name it after its namespace", obj.Name, epic.AccountNamespace(obj.Name))))
	}
	errs = append(errs, broughtID(specPath.Child("group-id"), obj.Spec.GroupID)...)
	return append(errs, accountSpec(&obj.Spec)...)
}

// ValidateAccountUpdate checks a change of an object.
func ValidateAccountUpdate(obj, old *epic.Account) field.ErrorList {
	errs := serverOnly(specPath.Child("group-id"), obj.Spec.GroupID, old.Spec.GroupID)
	return append(errs, accountSpec(&obj.Spec)...)
}

// ValidateAccountStatusUpdate checks a change of an object's status.
func ValidateAccountStatusUpdate(obj, old *epic.Account) field.ErrorList {
	errs := statusBase(obj.Status.ObservedGeneration, obj.Status.Conditions)
	return append(errs, serverOnly(statusPath.Child("current-service-id"), obj.Status.CurrentServiceID, old.Status.CurrentServiceID)...)
}

func accountSpec(spec *epic.AccountSpec) field.ErrorList {
	var errs field.ErrorList
	if n := spec.ProxyLimit; n != nil {
		errs = append(errs, between(specPath.Child("proxyLimit"), *n, 0, maxProxyLimit)...)
	}
	if n := spec.ObjectLimit; n != nil {
		errs = append(errs, between(specPath.Child("objectLimit"), *n, 0, math.MaxInt32)...)
	}
	if n := spec.StorageLimitBytes; n != nil {
		errs = append(errs, between(specPath.Child("storageLimitBytes"), *n, 0, math.MaxInt64)...)
	}
	return errs
}

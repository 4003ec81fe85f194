// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/util/validation/field"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// Secrets are read for a proxy in the proxy's own namespace only: a reference
// to another one would hand a tenant the certificates of somebody else.

// ownSecrets checks the Secrets that a template names. An object in namespace
// may name those in it; a group that is offered to all accounts names none, because a proxy
// of each account reads its own.
func ownSecrets(path *field.Path, namespace string, t *epic.EnvoyConfigSpec) field.ErrorList {
	if t == nil || len(t.EnvoyResources.Secrets) > maxResources {
		return nil
	}
	var errs field.ErrorList
	path = path.Child("envoyResources", "secrets")
	for i, s := range t.EnvoyResources.Secrets {
		if full(errs) {
			break
		}
		if s.Ref != nil {
			errs = append(errs, ownNamespace(path.Index(i).Child("ref", "namespace"), s.Ref.Namespace, namespace)...)
		}
	}
	return errs
}

// ownNamespace checks the namespace of a reference to an object that the
// gateway cluster reads.
func ownNamespace(path *field.Path, referred, own string) field.ErrorList {
	switch {
	case referred == "":
		return nil
	case own == epic.ConfigNamespace:
		return field.ErrorList{field.Invalid(path, quoted(referred), "can't be set in a group that is available to every account, because proxies read Secrets in their account's namespace: leave it out")}
	case referred != own:
		return field.ErrorList{field.Invalid(path, quoted(referred), fmt.Sprintf("must be the namespace of this object (%s), because its proxy can't read Secrets of others: leave it out, and create the Secret there", own))}
	}
	return nil
}

var (
	secretReference = reflect.TypeFor[gatewayv1.SecretObjectReference]()
	objectReference = reflect.TypeFor[gatewayv1.ObjectReference]()
)

// ownReferences checks all references of a Gateway to Secrets and other objects
// that hold certificates, wherever in its spec they are.
func ownReferences(path *field.Path, namespace string, spec *epic.GatewaySpec) field.ErrorList {
	if spec == nil || len(spec.Listeners) > epic.MaxListeners {
		return nil
	}
	return references(path, namespace, reflect.ValueOf(&spec.GatewaySpec))
}

func references(path *field.Path, namespace string, v reflect.Value) field.ErrorList {
	var errs field.ErrorList
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return references(path, namespace, v.Elem())
		}
	case reflect.Slice:
		if v.Len() > maxEntries {
			// Said where lists are bounded.
			return nil
		}
		for i := range v.Len() {
			if full(errs) {
				break
			}
			errs = append(errs, references(path.Index(i), namespace, v.Index(i))...)
		}
	case reflect.Struct:
		if t := v.Type(); t == secretReference || t == objectReference {
			if to, ok := v.FieldByName("Namespace").Interface().(*gatewayv1.Namespace); ok && to != nil {
				return ownNamespace(path.Child("namespace"), string(*to), namespace)
			}
			return nil
		}
		for i := range v.NumField() {
			if full(errs) {
				break
			}
			if f := v.Type().Field(i); f.IsExported() {
				errs = append(errs, references(child(path, f), namespace, v.Field(i))...)
			}
		}
	default:
	}
	return errs
}

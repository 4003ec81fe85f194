// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"slices"

	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Keys of the objects with certificates to which an object refers, as
// KIND/NAMESPACE/NAME, to find the objects affected by a change.

// HolderKey returns the key of an object with certificates.
func HolderKey(kind, namespace, name string) string { return kind + "/" + namespace + "/" + name }

func secretKeys(namespace string, refs []gatewayv1.SecretObjectReference) []string {
	var keys []string
	for i := range refs {
		keys = append(keys, HolderKey(string(ptr.Deref(refs[i].Kind, "Secret")),
			string(ptr.Deref(refs[i].Namespace, gatewayv1.Namespace(namespace))), string(refs[i].Name)))
	}
	return keys
}

// HoldersOf returns the keys for a Gateway.
func HoldersOf(gateway *gatewayv1.Gateway) []string {
	var keys []string
	for i := range gateway.Spec.Listeners {
		if tls := gateway.Spec.Listeners[i].TLS; tls != nil {
			keys = append(keys, secretKeys(gateway.Namespace, tls.CertificateRefs)...)
		}
	}
	validation := func(c *gatewayv1.TLSConfig) {
		if c.Validation == nil {
			return
		}
		for _, ref := range c.Validation.CACertificateRefs {
			keys = append(keys, HolderKey(string(ref.Kind), string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(gateway.Namespace))), string(ref.Name)))
		}
	}
	if tls := gateway.Spec.TLS; tls != nil {
		if tls.Backend != nil && tls.Backend.ClientCertificateRef != nil {
			keys = append(keys, secretKeys(gateway.Namespace, []gatewayv1.SecretObjectReference{*tls.Backend.ClientCertificateRef})...)
		}
		if tls.Frontend != nil {
			validation(&tls.Frontend.Default)
			for i := range tls.Frontend.PerPort {
				validation(&tls.Frontend.PerPort[i].TLS)
			}
		}
	}
	return unique(keys)
}

// HoldersOfSet returns the keys for a ListenerSet.
func HoldersOfSet(set *gatewayv1.ListenerSet) []string {
	var keys []string
	for i := range set.Spec.Listeners {
		if tls := set.Spec.Listeners[i].TLS; tls != nil {
			keys = append(keys, secretKeys(set.Namespace, tls.CertificateRefs)...)
		}
	}
	return unique(keys)
}

// HoldersOfPolicy returns the keys for a BackendTLSPolicy.
func HoldersOfPolicy(policy *gatewayv1.BackendTLSPolicy) []string {
	var keys []string
	for _, ref := range policy.Spec.Validation.CACertificateRefs {
		keys = append(keys, HolderKey(string(ref.Kind), policy.Namespace, string(ref.Name)))
	}
	return unique(keys)
}

func unique(keys []string) []string {
	slices.Sort(keys)
	return slices.Compact(keys)
}

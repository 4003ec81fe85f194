// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// AuthorityKey is the key of the certificates of authorities in a ConfigMap or a Secret.
const AuthorityKey = "ca.crt"

// secrets collects the Secrets that objects need in EPIC, by name.
type secrets map[string]*corev1.Secret

// problem is why a reference can't be used.
type problem struct{ reason, message string }

func problemf(reason, format string, args ...any) *problem {
	return &problem{reason, fmt.Sprintf(format, args...)}
}

// certificate resolves a reference to a certificate and its key. If it is invalid, the
// problem has the reason that the caller passes.
func (p *publisher) certificate(f from, ref *gatewayv1.SecretObjectReference, invalid string) (string, *problem) {
	group, kind := string(ptr.Deref(ref.Group, "")), string(ptr.Deref(ref.Kind, "Secret"))
	name := types.NamespacedName{Namespace: string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(f.namespace))), Name: string(ref.Name)}
	if group != "" || kind != "Secret" {
		return "", problemf(invalid, "a certificate must be in a Secret of the core group, but %q names the kind %s of the group %q: use a Secret", ref.Name, kind, group)
	}
	if !permits(p.view, f, object{"", "Secret", name.Namespace, name.Name}) {
		return "", notPermitted(f, "Secret", name)
	}
	secret := p.view.Secret(name)
	if secret == nil {
		return "", problemf(invalid, "Secret %s of the type %s does not exist: create it", name, corev1.SecretTypeTLS)
	}
	if _, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return "", problemf(invalid, "the Secret %s must have a certificate in %s and its key in %s: %v", name, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err)
	}
	return p.copySecret(secret, corev1.SecretTypeTLS, map[string][]byte{
		corev1.TLSCertKey: secret.Data[corev1.TLSCertKey], corev1.TLSPrivateKeyKey: secret.Data[corev1.TLSPrivateKeyKey],
	}), nil
}

// notPermitted returns the problem for a reference to another namespace that is not
// granted.
func notPermitted(f from, kind string, name types.NamespacedName) *problem {
	// All kinds use the same reason.
	return problemf(string(gatewayv1.ListenerReasonRefNotPermitted),
		"a %s in the namespace %s may not refer to the %s %s: create a ReferenceGrant in the namespace %s that allows it", f.kind, f.namespace, kind, name, name.Namespace)
}

// authority resolves a reference to certificates of authorities.
func (p *publisher) authority(group, kind string, name types.NamespacedName, invalid, badKind string) (string, *problem) {
	var holder metav1.Object
	var data []byte
	switch {
	case group == "" && kind == "ConfigMap":
		if m := p.view.ConfigMap(name); m != nil {
			holder, data = m, []byte(m.Data[AuthorityKey])
		}
	case group == "" && kind == "Secret":
		if s := p.view.Secret(name); s != nil {
			holder, data = s, s.Data[AuthorityKey]
		}
	default:
		return "", problemf(badKind, "CA certificates must be in a ConfigMap or a Secret, but %q names the kind %s of the group %q: use a ConfigMap", name.Name, kind, group)
	}
	switch {
	case holder == nil && kind == "Secret":
		return "", problemf(invalid, "Secret %s of the type %s does not exist: create it, or use a ConfigMap", name, corev1.SecretTypeTLS)
	case holder == nil:
		return "", problemf(invalid, "%s %s does not exist: create it", kind, name)
	}
	if err := checkAuthorities(data); err != nil {
		return "", problemf(invalid, "the %s %s must have PEM certificates in %s: %v", kind, name, AuthorityKey, err)
	}
	return p.copySecret(holder, corev1.SecretTypeOpaque, map[string][]byte{AuthorityKey: data}), nil
}

// checkAuthorities returns an error if data is not a list of certificates.
func checkAuthorities(data []byte) error {
	found := false
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return errors.New("there is none")
	}
	return nil
}

// secretPrefix returns the prefix of the names of a cluster's Secrets in EPIC. A UID,
// which contains no dot, follows.
func secretPrefix(cluster string) string { return cluster + "." }

// IsSecretOf reports whether a name belongs to a cluster's Secret in EPIC. The names of
// the Secrets of the cluster "a.b" also begin with "a.".
func IsSecretOf(name, cluster string) bool {
	uid, own := strings.CutPrefix(name, secretPrefix(cluster))
	return own && !strings.Contains(uid, ".")
}

// copySecret adds a copy of a Secret for EPIC and returns its name there. A certificate
// and the authorities next to it in one Secret become two Secrets. Each cluster may only
// write its own Secrets, so a cluster that is renamed needs other ones.
func (p *publisher) copySecret(from metav1.Object, kind corev1.SecretType, data map[string][]byte) string {
	name := secretPrefix(p.config.Cluster) + string(from.GetUID())
	if _, ok := data[AuthorityKey]; ok {
		name += "-ca"
	}
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: p.config.meta(name),
		Type:       kind,
		Data:       data,
	}
	secret.Labels[UseLabel] = UseProxy
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, ClientNamespaceAnnotation, from.GetNamespace())
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, ClientNameAnnotation, from.GetName())
	if p.config.ClusterUID != "" {
		// Secrets of earlier IDs are found by it.
		secret.Labels[ClusterUIDKey] = p.config.ClusterUID
	}
	p.secrets[name] = secret
	return name
}

// resolveCertificates resolves the references of a listener with TLS. Only the Gateway
// itself needs them. Routes and EndpointSlices, which change more often, don't: their
// results do not depend on them, and parsing keys takes time.
func (p *publisher) resolveCertificates(l *listener) {
	if !l.terminates() {
		return
	}
	invalid := string(gatewayv1.ListenerReasonInvalidCertificateRef)
	if l.TLS == nil || len(l.TLS.CertificateRefs) == 0 {
		l.resolved.refuse(invalid, "a listener that terminates TLS requires a certificate: add one to tls.certificateRefs")
	} else {
		for i := range l.TLS.CertificateRefs {
			name, problem := p.certificate(from{l.owner.Kind, l.owner.Namespace}, &l.TLS.CertificateRefs[i], invalid)
			if problem != nil {
				l.resolved.refuse(problem.reason, problem.message)
				continue
			}
			l.certificates = append(l.certificates, name)
		}
	}
	if l.frontend != nil {
		l.resolved.refuse(l.frontend.reason, l.frontend.message)
	}
}

// validationAt returns how a Gateway validates client certificates at a port, or nil if
// it does not.
func validationAt(gateway *gatewayv1.Gateway, port gatewayv1.PortNumber) *gatewayv1.FrontendTLSValidation {
	if gateway.Spec.TLS == nil || gateway.Spec.TLS.Frontend == nil {
		return nil
	}
	frontend := gateway.Spec.TLS.Frontend
	for i := range frontend.PerPort {
		if frontend.PerPort[i].Port == port {
			return frontend.PerPort[i].TLS.Validation
		}
	}
	return frontend.Default.Validation
}

// resolveFrontend resolves how client certificates are validated at a listener.
func (p *publisher) resolveFrontend(gateway *gatewayv1.Gateway, l *listener) {
	if l.Protocol != gatewayv1.HTTPSProtocolType {
		return
	}
	validation := validationAt(gateway, l.Port)
	if validation == nil {
		return
	}
	var names []string
	names, l.frontend = p.authorities(gateway, validation)
	if l.frontend != nil && len(names) == 0 {
		l.accepted.refuse(string(gatewayv1.ListenerReasonNoValidCACertificate), l.frontend.message)
	}
}

// authorities returns the names in EPIC of the authorities that resolve, and the first
// problem.
func (p *publisher) authorities(gateway *gatewayv1.Gateway, validation *gatewayv1.FrontendTLSValidation) ([]string, *problem) {
	var names []string
	var first *problem
	f := from{GatewayKind, gateway.Namespace}
	for _, ref := range validation.CACertificateRefs {
		at := types.NamespacedName{Namespace: string(ptr.Deref(ref.Namespace, gatewayv1.Namespace(gateway.Namespace))), Name: string(ref.Name)}
		var name string
		var found *problem
		if permits(p.view, f, object{string(ref.Group), string(ref.Kind), at.Namespace, at.Name}) {
			name, found = p.authority(string(ref.Group), string(ref.Kind), at,
				string(gatewayv1.ListenerReasonInvalidCACertificateRef), string(gatewayv1.ListenerReasonInvalidCACertificateKind))
		} else {
			// Do not reveal whether it exists in the other namespace.
			found = notPermitted(f, string(ref.Kind), at)
		}
		switch {
		case found == nil:
			names = append(names, name)
		case first == nil:
			first = found
		}
	}
	return names, first
}

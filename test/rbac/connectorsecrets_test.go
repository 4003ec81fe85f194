// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

// TestConnectorsWriteTheirOwnSecrets shows which Secrets a connector may write, and so
// read in the answer to a patch.
func TestConnectorsWriteTheirOwnSecrets(t *testing.T) {
	plugin := policies(t, "connector-secrets.yaml")
	secret := func(kind corev1.SecretType, labels ...string) *corev1.Secret {
		out := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "s"}, Type: kind}
		for _, label := range labels {
			key, value, _ := strings.Cut(label, "=")
			metav1.SetMetaDataLabel(&out.ObjectMeta, "epic.acnodal.io/"+key, value)
		}
		return out
	}
	const (
		paris = "system:serviceaccount:epic-acme:connector.paris"
		use   = "use=proxy"
		own   = "owning-cluster=paris"
		tls   = corev1.SecretTypeTLS
	)
	mine := secret(tls, own, use)
	for _, test := range []struct {
		name   string
		user   string
		op     admission.Operation
		is, to *corev1.Secret
		want   string
	}{
		{"certificate", paris, admission.Create, nil, mine, ""},
		{"authority", paris, admission.Create, nil, secret(corev1.SecretTypeOpaque, own, use), ""},
		{"renewed", paris, admission.Update, mine, mine, ""},
		{"deleted", paris, admission.Delete, mine, nil, ""},
		{"no labels", paris, admission.Create, nil, secret(tls), "metadata.labels: "},
		{"another use", paris, admission.Create, nil, secret(tls, own, "use=x"), "epic.acnodal.io/use=proxy"},
		{"no use", paris, admission.Create, nil, secret(tls, own), "epic.acnodal.io/use=proxy"},
		{"another cluster's", paris, admission.Create, nil, secret(tls, "owning-cluster=rome", use), "owning-cluster=paris"},
		{"a token of a service account", paris, admission.Create, nil, secret(corev1.SecretTypeServiceAccountToken, own, use), "type: "},
		{"taken over from the tenant", paris, admission.Update, secret(tls), mine, "is not one that the connector of the cluster paris wrote"},
		{"taken over from another cluster", paris, admission.Update, secret(tls, "owning-cluster=rome", use), mine, "is not one"},
		{"a token, labeled", paris, admission.Update, secret(corev1.SecretTypeServiceAccountToken, own, use), secret(corev1.SecretTypeServiceAccountToken, own, use), "type: "},
		{"given away", paris, admission.Update, mine, secret(tls, "owning-cluster=rome", use), "metadata.labels: "},
		{"the tenant's deleted", paris, admission.Delete, secret(tls), nil, "is not one"},
		{"another cluster's deleted", paris, admission.Delete, secret(tls, "owning-cluster=rome", use), nil, "is not one"},
		{"somebody else", "jane", admission.Update, secret(tls), secret(tls), ""},
		{"another service account", "system:serviceaccount:epic-acme:deployer", admission.Create, nil, secret(tls), ""},
		{"another namespace's", "system:serviceaccount:other:connector.paris", admission.Create, nil, secret(tls), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := plugin.validate(t, "secrets", "", "s", object(test.is), object(test.to), test.op, test.user)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("The answer is %v, want %q", err, test.want)
			}
		})
	}
}

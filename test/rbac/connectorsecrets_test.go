// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	utilcompatibility "k8s.io/apiserver/pkg/util/compatibility"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// policies is Kubernetes' own admission plugin with the shipped policy of the
// connectors' Secrets.
func policies(t *testing.T) admission.ValidationInterface {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(base, "connector-secrets.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := bytes.Cut(data, []byte("\n---\n"))
	policy, binding := &admissionregistrationv1.ValidatingAdmissionPolicy{}, &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
	if err := yaml.UnmarshalStrict(first, policy); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(second, binding); err != nil {
		t.Fatal(err)
	}
	if binding.Spec.PolicyName != policy.Name {
		t.Fatalf("The binding is of the policy %s", binding.Spec.PolicyName)
	}
	// The server sets these.
	policy.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{}
	policy.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{}
	equivalent := admissionregistrationv1.Equivalent
	policy.Spec.MatchConstraints.MatchPolicy = &equivalent
	kube := fake.NewClientset(policy, binding, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "epic-acme"}})
	factory := informers.NewSharedInformerFactory(kube, 0)
	plugin, err := validating.NewPlugin(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	initializer.New(kube, dynamicfake.NewSimpleDynamicClient(scheme.Scheme), factory, authorizerfactory.NewAlwaysDenyAuthorizer(),
		utilfeature.DefaultFeatureGate, utilcompatibility.DefaultBuildEffectiveVersion(), ctx.Done(), mapper).Initialize(plugin)
	plugin.SetEnabled(true)
	if err := plugin.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return plugin
}

// TestConnectorsWriteTheirOwnSecrets shows which Secrets a connector may write, and so
// read in the answer to a patch.
func TestConnectorsWriteTheirOwnSecrets(t *testing.T) {
	plugin := policies(t)
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
		{"a token, labelled", paris, admission.Update, secret(corev1.SecretTypeServiceAccountToken, own, use), secret(corev1.SecretTypeServiceAccountToken, own, use), "type: "},
		{"given away", paris, admission.Update, mine, secret(tls, "owning-cluster=rome", use), "metadata.labels: "},
		{"the tenant's deleted", paris, admission.Delete, secret(tls), nil, "is not one"},
		{"another cluster's deleted", paris, admission.Delete, secret(tls, "owning-cluster=rome", use), nil, "is not one"},
		{"somebody else", "jane", admission.Update, secret(tls), secret(tls), ""},
		{"another service account", "system:serviceaccount:epic-acme:deployer", admission.Create, nil, secret(tls), ""},
		{"another namespace's", "system:serviceaccount:other:connector.paris", admission.Create, nil, secret(tls), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var is, to runtime.Object
			if test.is != nil {
				is = test.is
			}
			if test.to != nil {
				to = test.to
			}
			attributes := admission.NewAttributesRecord(to, is, corev1.SchemeGroupVersion.WithKind("Secret"), "epic-acme", "s",
				corev1.SchemeGroupVersion.WithResource("secrets"), "", test.op, nil, false, &user.DefaultInfo{Name: test.user})
			err := plugin.Validate(t.Context(), attributes, admission.NewObjectInterfacesFromScheme(scheme.Scheme))
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("The answer is %v, want %q", err, test.want)
			}
		})
	}
}

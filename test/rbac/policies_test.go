// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

	"github.com/acnodal/epic/test/tools/manifest"
)

// enforced is Kubernetes' own admission plugin with shipped policies.
type enforced struct{ admission.ValidationInterface }

// shippedPolicies are the policies with their bindings in a file of this folder's base.
func shippedPolicies(t *testing.T, file string) []runtime.Object {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(base, file))
	if err != nil {
		t.Fatal(err)
	}
	var all []runtime.Object
	names, bound := map[string]bool{}, map[string]bool{}
	for document, err := range manifest.Documents(data) {
		var kind metav1.TypeMeta
		if err == nil {
			err = yaml.Unmarshal(document, &kind)
		}
		if err != nil {
			t.Fatal(err)
		}
		switch kind.Kind {
		case "ValidatingAdmissionPolicy":
			policy := &admissionregistrationv1.ValidatingAdmissionPolicy{}
			if err := yaml.UnmarshalStrict(document, policy); err != nil {
				t.Fatal(err)
			}
			// The server sets these.
			policy.Spec.MatchConstraints.NamespaceSelector = &metav1.LabelSelector{}
			policy.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{}
			equivalent := admissionregistrationv1.Equivalent
			policy.Spec.MatchConstraints.MatchPolicy = &equivalent
			names[policy.Name] = true
			all = append(all, policy)
		case "ValidatingAdmissionPolicyBinding":
			binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{}
			if err := yaml.UnmarshalStrict(document, binding); err != nil {
				t.Fatal(err)
			}
			bound[binding.Spec.PolicyName] = true
			all = append(all, binding)
		default:
			t.Fatalf("%s has a %s", file, kind.Kind)
		}
	}
	for name := range names {
		if !bound[name] {
			t.Errorf("%s does not bind the policy %s", file, name)
		}
	}
	if len(names) == 0 || len(names) != len(bound) {
		t.Fatalf("%s has the policies %v, and binds %v", file, names, bound)
	}
	return all
}

// policies enforces the policies of a file.
func policies(t *testing.T, file string) enforced {
	t.Helper()
	kube := fake.NewClientset(append(shippedPolicies(t, file), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "epic-acme"}})...)
	factory := informers.NewSharedInformerFactory(kube, 0)
	plugin, err := validating.NewPlugin(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range kindsOfResources {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	initializer.New(kube, dynamicfake.NewSimpleDynamicClient(scheme.Scheme), factory, authorizerfactory.NewAlwaysDenyAuthorizer(),
		utilfeature.DefaultFeatureGate, utilcompatibility.DefaultBuildEffectiveVersion(), ctx.Done(), mapper).Initialize(plugin)
	plugin.SetEnabled(true)
	if err := plugin.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return enforced{plugin}
}

// kindsOfResources are the kinds of what requests have in them, by resource and subresource.
var kindsOfResources = map[string]schema.GroupVersionKind{
	"secrets":               corev1.SchemeGroupVersion.WithKind("Secret"),
	"serviceaccounts":       corev1.SchemeGroupVersion.WithKind("ServiceAccount"),
	"serviceaccounts/token": authenticationv1.SchemeGroupVersion.WithKind("TokenRequest"),
	"rolebindings":          rbacv1.SchemeGroupVersion.WithKind("RoleBinding"),
}

// object is an object of any kind, nil for a nil pointer.
func object[T any, O interface {
	*T
	runtime.Object
}](o O) runtime.Object {
	if o == nil {
		return nil
	}
	return o
}

// validate has the policies judge a request in the namespace epic-acme.
func (e enforced) validate(t *testing.T, resource, subresource, name string, is, to runtime.Object, op admission.Operation, by string) error {
	t.Helper()
	kind, of := kindsOfResources[resource], corev1.SchemeGroupVersion.WithResource(resource)
	if subresource != "" {
		kind = kindsOfResources[resource+"/"+subresource]
	}
	if resource == "rolebindings" {
		of = rbacv1.SchemeGroupVersion.WithResource(resource)
	}
	attributes := admission.NewAttributesRecord(to, is, kind, "epic-acme", name, of, subresource, op, nil, false, &user.DefaultInfo{Name: by})
	return e.Validate(t.Context(), attributes, admission.NewObjectInterfacesFromScheme(scheme.Scheme))
}

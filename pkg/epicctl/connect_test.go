// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	manifests "github.com/acnodal/epic/artifacts/install"
	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/connector/nodes"
	"github.com/acnodal/epic/pkg/credential/nodeexchange"
)

// documents splits a manifest into its objects by kind, in order.
func documents(t *testing.T, manifest string) (kinds []string, objects map[string]*unstructured.Unstructured) {
	t.Helper()
	objects = map[string]*unstructured.Unstructured{}
	for _, document := range strings.Split(manifest, "\n---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &u.Object); err != nil {
			t.Fatalf("%v:\n%s", err, document)
		}
		kinds = append(kinds, u.GetKind())
		objects[u.GetKind()] = u
	}
	return kinds, objects
}

func convert[T any](t *testing.T, u *unstructured.Unstructured) *T {
	t.Helper()
	out := new(T)
	if u == nil {
		t.Fatal("The manifest lacks it")
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, out, true); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestConnect(t *testing.T) {
	i := install(t)
	kube := i.beside()
	asked := givesTokens(kube)
	i.run(t, "create", "account", "acme", "--admin-user", "jane").want(t, ExitOK)
	i.fillGroup(t, "acme", "web")

	r := i.run(t, "connect", "--account", "acme", "--cluster", "paris")
	r.want(t, ExitOK, "serviceaccount/connector.paris created", "rolebinding/epic-connector.paris created", "rolebinding/epic-offered-viewer-acme configured",
		"rolebinding/epic-node-client.paris created", "the token is valid until", "which only this machine can reach", "kubectl apply -f FILE",
		"daemonset/epic-node-client", "renew themselves", "epicctl disconnect --account acme --cluster paris")
	if len(*asked) != 1 || *(*asked)[0].ExpirationSeconds != 7*24*60*60 {
		t.Errorf("It asked for %+v", *asked)
	}
	kinds, objects := documents(t, r.stdout)
	if kinds[0] != "Namespace" {
		t.Errorf("The namespace is not first: %v", kinds)
	}
	if slices.Index(kinds, "Secret") > slices.Index(kinds, "Deployment") {
		t.Errorf("New pods could read the former Secret: %v", kinds)
	}
	slices.Sort(kinds)
	if got := strings.Join(kinds, " "); got != "ClusterRole ClusterRole ClusterRoleBinding ClusterRoleBinding ConfigMap DaemonSet Deployment GatewayClass Namespace Namespace PodDisruptionBudget Role Role Role RoleBinding RoleBinding RoleBinding Secret Service ServiceAccount ServiceAccount" {
		t.Errorf("The manifest has %s", got)
	}
	for kind, object := range objects {
		if object.GetLabels()[epic.PartOfLabel] != epic.ProductName {
			t.Errorf("%s has the labels %v", kind, object.GetLabels())
		}
	}
	t.Run("rights in EPIC", func(t *testing.T) {
		own, err := kube.RbacV1().RoleBindings("epic-acme").Get(t.Context(), "epic-connector.paris", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(own.RoleRef, own.Subjects); got != "{rbac.authorization.k8s.io ClusterRole epic-connector} [{ServiceAccount  connector.paris epic-acme}]" {
			t.Errorf("The binding is %s", got)
		}
		offered, err := kube.RbacV1().RoleBindings("epic").Get(t.Context(), "epic-offered-viewer-acme", metav1.GetOptions{})
		if err != nil || len(offered.Subjects) != 2 || offered.Subjects[1] != own.Subjects[0] {
			t.Errorf("The binding is %+v, %v", offered, err)
		}
		nodes, err := kube.RbacV1().RoleBindings("epic-acme").Get(t.Context(), "epic-node-client.paris", metav1.GetOptions{})
		if err != nil || nodes.RoleRef.Name != "epic-node-client" || len(nodes.Subjects) > 0 {
			t.Errorf("The nodes' binding is %+v, %v", nodes, err)
		}
	})
	t.Run("credential", func(t *testing.T) {
		secret := convert[corev1.Secret](t, objects["Secret"])
		config, err := clientcmd.RESTConfigFromKubeConfig(secret.Data["kubeconfig"])
		if err != nil {
			t.Fatal(err)
		}
		if config.Host != i.Config.Host || config.BearerToken != "the-token" || string(config.CAData) != string(i.Config.CAData) || len(config.CertData)+len(config.KeyData) > 0 {
			t.Errorf("The kubeconfig is for %s", config)
		}
		raw, err := clientcmd.Load(secret.Data["kubeconfig"])
		if err != nil || raw.Contexts[raw.CurrentContext].Namespace != "epic-acme" {
			t.Errorf("The context is %+v, %v", raw, err)
		}
		deployment := convert[appsv1.Deployment](t, objects["Deployment"])
		if volume := deployment.Spec.Template.Spec.Volumes[0].Secret; volume.SecretName != secret.Name || deployment.Namespace != secret.Namespace {
			t.Errorf("The Deployment in %s mounts %+v, and the Secret is %s/%s", deployment.Namespace, volume, secret.Namespace, secret.Name)
		}
	})
	t.Run("deployment", func(t *testing.T) {
		deployment := convert[appsv1.Deployment](t, objects["Deployment"])
		data, err := manifests.ClientCluster.ReadFile("connector/deployment.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var want appsv1.Deployment
		if err := yaml.UnmarshalStrict(data, &want); err != nil {
			t.Fatal(err)
		}
		template := &deployment.Spec.Template
		// A new token is read by pods that run.
		if objects["Secret"].GetAnnotations()[expiryAnnotation] == "" || len(template.Annotations) > 0 {
			t.Errorf("The Secret's annotations are %v, the pods' %v", objects["Secret"].GetAnnotations(), template.Annotations)
		}
		// All else is what the folder installs.
		want.Labels[epic.PartOfLabel] = epic.ProductName
		container := &want.Spec.Template.Spec.Containers[0]
		container.Args = append(container.Args, "--service-group=web")
		container.Env[0].Value = "paris"
		if got, want := mustYAML(t, deployment), mustYAML(t, &want); got != want {
			t.Errorf("The Deployment is\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("nodes", func(t *testing.T) {
		set := convert[appsv1.DaemonSet](t, objects["DaemonSet"])
		settings := convert[corev1.ConfigMap](t, objects["ConfigMap"])
		if got := fmt.Sprint(settings.Data); got != "map[ACCOUNT_NAMESPACE:epic-acme CLUSTER:paris]" || settings.Namespace != set.Namespace {
			t.Errorf("The settings in %s are %s", settings.Namespace, got)
		}
		spec := &set.Spec.Template.Spec
		container := &spec.Containers[0]
		for _, env := range container.Env {
			if env.ValueFrom.ConfigMapKeyRef != nil && env.ValueFrom.ConfigMapKeyRef.Name != settings.Name {
				t.Errorf("%s is from ConfigMap %s, not %s", env.Name, env.ValueFrom.ConfigMapKeyRef.Name, settings.Name)
			}
		}
		service := convert[corev1.Service](t, objects["Service"])
		from := fmt.Sprintf("--connector=https://%s.%s.svc:%d", service.Name, service.Namespace, service.Spec.Ports[0].Port)
		if !slices.Contains(container.Args, from) || slices.ContainsFunc(container.Args, func(a string) bool { return strings.HasPrefix(a, "--kubeconfig") }) {
			t.Errorf("The arguments are %q, want %s", container.Args, from)
		}
		credentials := spec.Volumes[slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == "credentials" })]
		if credentials.Secret != nil || credentials.Projected == nil || len(credentials.Projected.Sources) != 2 ||
			credentials.Projected.Sources[0].ServiceAccountToken.Audience != nodeexchange.Audience ||
			credentials.Projected.Sources[1].ConfigMap.Name != nodes.AuthorityConfigMap {
			t.Errorf("The credentials are %+v", credentials)
		}
		// All else is what the folder of the node program installs.
		data, err := manifests.ClientCluster.ReadFile("node-client/daemonset.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var want appsv1.DaemonSet
		if err := yaml.UnmarshalStrict(data, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(spec.Tolerations, want.Spec.Template.Spec.Tolerations) || spec.PriorityClassName != want.Spec.Template.Spec.PriorityClassName ||
			!reflect.DeepEqual(set.Spec.UpdateStrategy, want.Spec.UpdateStrategy) || !reflect.DeepEqual(container.SecurityContext, want.Spec.Template.Spec.Containers[0].SecurityContext) ||
			!reflect.DeepEqual(container.VolumeMounts, want.Spec.Template.Spec.Containers[0].VolumeMounts) || len(spec.Volumes) != len(want.Spec.Template.Spec.Volumes) {
			t.Errorf("The DaemonSet is\n%s", mustYAML(t, set))
		}
	})
	t.Run("class", func(t *testing.T) {
		ref, _, err := unstructured.NestedStringMap(objects["GatewayClass"].Object, "spec", "parametersRef")
		if err != nil || fmt.Sprint(ref) != "map[group:epic.acnodal.io kind:LBServiceGroup name:web]" {
			t.Errorf("parametersRef is %v, %v", ref, err)
		}
	})
	t.Run("twice, to a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "paris.yaml")
		args := []string{"connect", "--account", "acme", "--cluster", "paris", "--image", "registry.example/connector:v1", "--node-image", "registry.example/node:v1", "--duration", "24h", "-f", file}
		r := i.run(t, args...)
		r.want(t, ExitOK, "serviceaccount/connector.paris unchanged", "rolebinding/epic-connector.paris unchanged", "rolebinding/epic-offered-viewer-acme unchanged",
			"written to "+file, "kubectl apply -f "+file, "less than requested")
		if r.stdout != "" {
			t.Errorf("It printed %q", r.stdout)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("The file's mode is %v, %v", info, err)
		}
		data, _ := os.ReadFile(file)
		_, objects := documents(t, string(data))
		if image := convert[appsv1.Deployment](t, objects["Deployment"]).Spec.Template.Spec.Containers[0].Image; image != "registry.example/connector:v1" {
			t.Errorf("The image is %s", image)
		}
		if image := convert[appsv1.DaemonSet](t, objects["DaemonSet"]).Spec.Template.Spec.Containers[0].Image; image != "registry.example/node:v1" {
			t.Errorf("The image of the node program is %s", image)
		}
		i.run(t, args...).want(t, ExitUsage, "already exists", "--overwrite")
	})
	t.Run("monitoring", func(t *testing.T) {
		before := strings.Count(r.stdout, "kind: PodMonitor")
		r := i.run(t, "connect", "--account", "acme", "--cluster", "paris", "--monitoring")
		r.want(t, ExitOK)
		kinds, objects := documents(t, r.stdout)
		slices.Sort(kinds)
		if got := strings.Count(strings.Join(kinds, " "), "PodMonitor"); before != 0 || got != 2 || objects["PrometheusRule"] == nil {
			t.Errorf("%d PodMonitors without --monitoring; with it the manifest has %v", before, kinds)
		}
		for _, object := range objects {
			if ns := object.GetNamespace(); object.GetKind() == "PodMonitor" && ns != "epic-connector" && ns != "epic-client" {
				t.Errorf("A PodMonitor is in namespace %s", ns)
			}
		}
	})
	t.Run("several groups", func(t *testing.T) {
		i.fillGroup(t, "acme", "another")
		i.run(t, "connect", "--account", "acme", "--cluster", "rome").want(t, ExitUsage, "--group is not set", "another, web")
		i.run(t, "connect", "--account", "acme", "--cluster", "rome", "--group", "none").want(t, ExitUsage, `--group "none"`, "another, web")
		if _, err := kube.CoreV1().ServiceAccounts("epic-acme").Get(t.Context(), "connector.rome", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("It made a service account: %v", err)
		}
		r := i.run(t, "connect", "--account", "acme", "--cluster", "rome", "--group", "another")
		r.want(t, ExitOK, "--service-group=another")
	})
	t.Run("dry run", func(t *testing.T) {
		before := len(*asked)
		for _, mode := range []string{"client", "server"} {
			r := i.run(t, "connect", "--account", "acme", "--cluster", "dry", "--group", "web", "--dry-run="+mode)
			r.want(t, ExitOK, "serviceaccount/connector.dry created", "rolebinding/epic-connector.dry")
			if r.stdout != "" {
				t.Errorf("It printed %q", r.stdout)
			}
		}
		if len(*asked) != before {
			t.Error("It asked for a token")
		}
	})
	t.Run("completion", func(t *testing.T) {
		i.run(t, "__complete", "connect", "--account", "").want(t, ExitOK, "acme :4")
		i.run(t, "__complete", "connect", "--account", "acme", "--group", "").want(t, ExitOK, "another web :4")
		i.run(t, "__complete", "disconnect", "--account", "acme", "--cluster", "").want(t, ExitOK, "paris", "rome")
	})
	t.Run("bad input", func(t *testing.T) {
		for _, test := range []struct {
			args  []string
			code  int
			wants []string
		}{
			{[]string{"--cluster", "paris"}, ExitUsage, []string{"--account is not set"}},
			{[]string{"--account", "Acme", "--cluster", "paris"}, ExitUsage, []string{"lowercase"}},
			{[]string{"--account", "acme"}, ExitUsage, []string{"--cluster is not set", "unique in the account"}},
			{[]string{"--account", "acme", "--cluster", "Paris"}, ExitUsage, []string{`--cluster "Paris"`, "lowercase letters"}},
			{[]string{"--account", "acme", "--cluster", "paris.example"}, ExitUsage, []string{"--cluster", "lowercase letters"}},
			{[]string{"--account", "acme", "--cluster", strings.Repeat("a", 64)}, ExitUsage, []string{"at most 63"}},
			{[]string{"--account", "acme", "--cluster", "paris", "--group", "epic/web"}, ExitUsage, []string{"--group", "without the namespace"}},
			{[]string{"--account", "acme", "--cluster", "paris", "--image", "a b"}, ExitUsage, []string{"--image", "REGISTRY/NAME:TAG"}},
			{[]string{"--account", "acme", "--cluster", "paris", "--node-image", "a b"}, ExitUsage, []string{"--node-image", "REGISTRY/NAME:TAG"}},
			{[]string{"--account", "acme", "--cluster", "paris", "--duration", "1m"}, ExitUsage, []string{"use 10m0s or more"}},
			{[]string{"--account", "acme", "--cluster", "paris", "--duration", "0"}, ExitUsage, []string{"use 10m0s or more"}},
			{[]string{"--account", "nobody", "--cluster", "paris"}, ExitFailure, []string{"account nobody does not exist", "epicctl create account nobody"}},
			{[]string{"acme"}, ExitUsage, []string{"takes no argument"}},
		} {
			i.run(t, append([]string{"connect"}, test.args...)...).want(t, test.code, test.wants...)
		}
	})
	t.Run("without a group", func(t *testing.T) {
		i.run(t, "create", "account", "empty").want(t, ExitOK)
		i.run(t, "connect", "--account", "empty", "--cluster", "paris").want(t, ExitFailure, "any service group yet", "epicctl create group web --account empty")
	})
	t.Run("without rights", func(t *testing.T) {
		kube.PrependReactor("create", "rolebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "rolebindings"}, "x", errors.New(`user "jane" is attempting to grant RBAC permissions not currently held`))
		})
		i.run(t, "connect", "--account", "acme", "--cluster", "oslo", "--group", "web").want(t, ExitFailure, "rolebinding/epic-connector.oslo could not be created", "epic-connector-issuer in namespace epic-acme", "repeat the command to complete it")
	})
	t.Run("standalone", func(t *testing.T) {
		i.kube = nil
		i.run(t, "connect", "--account", "acme", "--cluster", "paris", "--group", "web").want(t, ExitFailure, "standalone server", "docs/connector.md")
	})
}

// A server that the connector would refuse is refused before anything is made.
func TestConnectVerifies(t *testing.T) {
	i := install(t)
	kube := i.beside()
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fillGroup(t, "acme", "web")
	config, err := clientcmd.LoadFromFile(i.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range config.Clusters {
		c.InsecureSkipTLSVerify, c.CertificateAuthority, c.CertificateAuthorityData = true, "", nil
	}
	file := filepath.Join(t.TempDir(), "insecure")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	i.run(t, "connect", "--account", "acme", "--cluster", "paris", "--kubeconfig", file).want(t, ExitFailure, "insecure-skip-tls-verify", "certificate-authority-data")
	list, err := kube.CoreV1().ServiceAccounts("epic-acme").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) > 0 {
		t.Errorf("There is %+v, %v", list.Items, err)
	}
}

func mustYAML(t *testing.T, o any) string {
	t.Helper()
	data, err := yaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

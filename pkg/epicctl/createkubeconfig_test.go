// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/clientcmd"
)

// givesTokens lets the fake Kubernetes answer requests for tokens, with an hour
// at most.
func givesTokens(kube *fake.Clientset) (asked *[]authenticationv1.TokenRequestSpec) {
	asked = &[]authenticationv1.TokenRequestSpec{}
	kube.PrependReactor("create", "serviceaccounts", func(a clienttesting.Action) (bool, runtime.Object, error) {
		create, ok := a.(clienttesting.CreateAction)
		if !ok || a.GetSubresource() != "token" {
			return false, nil, nil
		}
		request := create.GetObject().(*authenticationv1.TokenRequest)
		*asked = append(*asked, request.Spec)
		request.Status.Token = "the-token"
		request.Status.ExpirationTimestamp = metav1.NewTime(time.Now().Add(time.Hour))
		return true, request, nil
	})
	return asked
}

func TestCreateKubeconfig(t *testing.T) {
	i := install(t)
	kube := i.beside()
	asked := givesTokens(kube)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	file := filepath.Join(t.TempDir(), "kubeconfig")

	r := i.run(t, "create", "kubeconfig", "acme", "--service-account", "deployer", "--duration", "24h", "-f", file)
	r.want(t, ExitOK, "serviceaccount/deployer created", "written to "+file, "less than requested", "no role is bound", "epicctl create account acme --service-account epic-acme/deployer")
	if r.stdout != "" {
		t.Errorf("It printed %q", r.stdout)
	}
	if len(*asked) != 1 || *(*asked)[0].ExpirationSeconds != 24*60*60 {
		t.Errorf("It asked for %+v", *asked)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("The file's mode is %v", info.Mode())
	}
	config, err := clientcmd.BuildConfigFromFlags("", file)
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != i.Config.Host || config.BearerToken != "the-token" || string(config.CAData) != string(i.Config.CAData) || len(config.CertData)+len(config.KeyData) > 0 {
		t.Errorf("The kubeconfig is for %s", config)
	}
	raw, err := clientcmd.LoadFromFile(file)
	if err != nil || raw.Contexts[raw.CurrentContext].Namespace != "epic-acme" {
		t.Errorf("The context is %+v, %v", raw, err)
	}

	t.Run("twice", func(t *testing.T) {
		before, _ := os.ReadFile(file)
		i.run(t, "create", "kubeconfig", "acme", "--service-account", "deployer", "-f", file).want(t, ExitUsage, "already exists", "--overwrite")
		if after, _ := os.ReadFile(file); string(after) != string(before) {
			t.Error("The file was changed")
		}
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		i.run(t, "create", "kubeconfig", "acme", "--service-account", "deployer", "-f", file, "--overwrite").want(t, ExitOK, "serviceaccount/deployer unchanged")
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("The file's mode is %v, %v", info.Mode(), err)
		}
	})
	t.Run("with rights, to the terminal", func(t *testing.T) {
		i.run(t, "create", "account", "acme", "--service-account", "epic-acme/deployer").want(t, ExitOK)
		r := i.run(t, "create", "kubeconfig", "acme", "--service-account", "deployer")
		r.want(t, ExitOK, "the token is valid until")
		r.lacks(t, "no role is bound", "less than")
		if _, err := clientcmd.Load([]byte(r.stdout)); err != nil {
			t.Error(err)
		}
	})
	t.Run("dry run", func(t *testing.T) {
		before := len(*asked)
		for _, mode := range []string{"client", "server"} {
			i.run(t, "create", "kubeconfig", "acme", "--service-account", "another", "--dry-run="+mode).want(t, ExitOK, "serviceaccount/another created")
		}
		if len(*asked) != before {
			t.Error("It asked for a token")
		}
	})
	t.Run("for a node", func(t *testing.T) {
		r := i.run(t, "create", "kubeconfig", "acme", "--node", "192.168.1.16")
		r.want(t, ExitOK, "serviceaccount/node.192.168.1.16 created", "rolebinding/epic-node-client created")
		r.lacks(t, "Warning: no role")
		config, err := clientcmd.Load([]byte(r.stdout))
		if err != nil || config.Contexts[config.CurrentContext].Namespace != "epic-acme" {
			t.Errorf("%+v, %v", config, err)
		}
		i.run(t, "create", "kubeconfig", "acme", "--node", "2001:db8::16").want(t, ExitOK, "serviceaccount/node.2001-db8--16 created", "rolebinding/epic-node-client configured")
		i.run(t, "create", "kubeconfig", "acme", "--node", "192.168.1.16").want(t, ExitOK, "serviceaccount/node.192.168.1.16 unchanged", "rolebinding/epic-node-client unchanged")
		binding, err := kube.RbacV1().RoleBindings("epic-acme").Get(t.Context(), "epic-node-client", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(binding.RoleRef, binding.Subjects); got != "{rbac.authorization.k8s.io ClusterRole epic-node-client} [{ServiceAccount  node.192.168.1.16 epic-acme} {ServiceAccount  node.2001-db8--16 epic-acme}]" {
			t.Errorf("The binding is %s", got)
		}
		i.run(t, "create", "kubeconfig", "acme", "--node", "192.168.1.17", "--dry-run=client").want(t, ExitOK, "serviceaccount/node.192.168.1.17 created", "rolebinding/epic-node-client with it")
		i.run(t, "create", "kubeconfig", "acme", "--node", "host").want(t, ExitUsage, "--node", "not an IP address")
		i.run(t, "create", "kubeconfig", "acme", "--node", "2001:DB8::1").want(t, ExitUsage, "write 2001:db8::1")
		i.run(t, "create", "kubeconfig", "acme", "--node", "192.168.1.16", "--service-account", "x").want(t, ExitUsage, "none of the others")
	})
	t.Run("bad input", func(t *testing.T) {
		i.run(t, "create", "kubeconfig", "acme").want(t, ExitUsage, "service-account")
		i.run(t, "create", "kubeconfig", "acme", "--service-account", "epic-acme/x").want(t, ExitUsage, "without the namespace")
		i.run(t, "create", "kubeconfig", "acme", "--service-account", "x", "--duration", "1m").want(t, ExitUsage, "use 10m0s or more")
		i.run(t, "create", "kubeconfig", "Acme", "--service-account", "x").want(t, ExitUsage, "lowercase")
		i.run(t, "create", "kubeconfig", "nobody", "--service-account", "x").want(t, ExitFailure, "account nobody does not exist", "epicctl create account nobody")
		i.run(t, "create", "kubeconfig", "acme", "--service-account", "x", "-f", filepath.Join(t.TempDir(), "no", "such")).want(t, ExitFailure, "no such file")
	})
	t.Run("without rights", func(t *testing.T) {
		kube.PrependReactor("create", "serviceaccounts", func(a clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts"}, "deployer", errors.New(`User "jane" cannot create resource "serviceaccounts/token"`))
		})
		i.run(t, "create", "kubeconfig", "acme", "--service-account", "deployer").want(t, ExitFailure, "you may not create serviceaccounts/token in namespace epic-acme", "epic-kubeconfig-issuer")
	})
	t.Run("standalone", func(t *testing.T) {
		i.kube = nil
		i.run(t, "create", "kubeconfig", "acme", "--service-account", "x").want(t, ExitFailure, "standalone server", "--kubeconfig-out")
	})
}

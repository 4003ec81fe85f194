// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"github.com/acnodal/epic/pkg/apis/epic"
	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func names(accounts []corev1.ServiceAccount) []string {
	var out []string
	for i := range accounts {
		out = append(out, accounts[i].Name)
	}
	slices.Sort(out)
	return out
}

func TestDisconnect(t *testing.T) {
	i := install(t)
	kube := i.beside()
	givesTokens(kube)
	i.run(t, "create", "account", "acme", "--admin-user", "jane").want(t, ExitOK)
	i.fillGroup(t, "acme", "web")
	for _, cluster := range []string{"paris", "rome"} {
		i.run(t, "connect", "--account", "acme", "--cluster", cluster).want(t, ExitOK)
	}
	for _, name := range []string{"node.paris.192.0.2.16", "node.rome.192.0.2.16", "node.192.0.2.16"} {
		sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: name}}
		if _, err := kube.CoreV1().ServiceAccounts("epic-acme").Create(t.Context(), sa, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"disconnect", "--account", "acme", "--cluster", "paris"}
	there := func(cluster string) (string, error) {
		sa, err := kube.CoreV1().ServiceAccounts("epic-acme").Get(t.Context(), "connector."+cluster, metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		_, err = kube.RbacV1().RoleBindings("epic-acme").Get(t.Context(), "epic-connector."+cluster, metav1.GetOptions{})
		return sa.Name, err
	}
	t.Run("dry run", func(t *testing.T) {
		i.run(t, append(args, "--dry-run=client")...).want(t, ExitOK, "serviceaccount/connector.paris deleted (dry run)", "rolebinding/epic-connector.paris deleted (dry run)", "rolebinding/epic-offered-viewer-acme configured (dry run)")
		if _, err := there("paris"); err != nil {
			t.Error(err)
		}
	})
	r := i.run(t, args...)
	r.want(t, ExitOK, "serviceaccount/connector.paris deleted", "rolebinding/epic-connector.paris deleted", "rolebinding/epic-offered-viewer-acme configured",
		"rolebinding/epic-node-client.paris deleted", "serviceaccounts of nodes: 1 deleted", "-n epic-acme -l epic.acnodal.io/owning-cluster=paris", "--cluster paris --purge")
	if list, err := kube.CoreV1().ServiceAccounts("epic-acme").List(t.Context(), metav1.ListOptions{}); err != nil || fmt.Sprint(names(list.Items)) != "[connector.rome node.192.0.2.16 node.rome.192.0.2.16]" {
		t.Errorf("The service accounts are %v, %v", names(list.Items), err)
	}
	// Rights end with the bindings, at once; tokens may be known for some seconds.
	var order []string
	for _, action := range kube.Actions() {
		if action.GetVerb() == "delete" {
			order = append(order, action.GetResource().Resource)
		}
	}
	if got := strings.Join(order, " "); got != "rolebindings rolebindings serviceaccounts serviceaccounts" {
		t.Errorf("It deletes %s", got)
	}
	if name, err := there("paris"); !apierrors.IsNotFound(err) {
		t.Errorf("There is %s, %v", name, err)
	}
	if _, err := kube.RbacV1().RoleBindings("epic-acme").Get(t.Context(), "epic-connector.paris", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("The binding is there: %v", err)
	}
	if _, err := there("rome"); err != nil {
		t.Errorf("Another cluster lost its rights: %v", err)
	}
	offered := func() []rbacv1.Subject {
		b, err := kube.RbacV1().RoleBindings("epic").Get(t.Context(), "epic-offered-viewer-acme", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return b.Subjects
	}
	if got := fmt.Sprint(offered()); got != "[{User rbac.authorization.k8s.io jane } {ServiceAccount  connector.rome epic-acme}]" {
		t.Errorf("The binding has %s", got)
	}
	t.Run("twice", func(t *testing.T) {
		r := i.run(t, args...)
		r.want(t, ExitOK, "serviceaccount/connector.paris not found", "rolebinding/epic-connector.paris not found", "rolebinding/epic-offered-viewer-acme unchanged", `Cluster "paris" has no objects`)
		r.lacks(t, "--purge")
	})
	t.Run("somebody else's", func(t *testing.T) {
		sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "connector.mine"}}
		if _, err := kube.CoreV1().ServiceAccounts("epic-acme").Create(t.Context(), sa, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		i.run(t, "disconnect", "--account", "acme", "--cluster", "mine").want(t, ExitFailure, "was not created by this program", "kubectl delete -n epic-acme serviceaccount/connector.mine")
	})
	t.Run("last of the account", func(t *testing.T) {
		i.run(t, "create", "account", "beta").want(t, ExitOK)
		i.fillGroup(t, "beta", "web")
		i.run(t, "connect", "--account", "beta", "--cluster", "paris").want(t, ExitOK)
		i.run(t, "disconnect", "--account", "beta", "--cluster", "paris").want(t, ExitOK, "rolebinding/epic-offered-viewer-beta deleted")
	})
	t.Run("bad input", func(t *testing.T) {
		i.run(t, "disconnect", "--cluster", "paris").want(t, ExitUsage, "--account is not set")
		i.run(t, "disconnect", "--account", "acme").want(t, ExitUsage, "--cluster is not set")
		i.run(t, "disconnect", "--account", "acme", "--cluster", "a/b").want(t, ExitUsage, "--cluster")
	})
	t.Run("without rights", func(t *testing.T) {
		kube.PrependReactor("delete", "serviceaccounts", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "serviceaccounts"}, "x", errors.New(`User "jane" cannot delete resource "serviceaccounts"`))
		})
		i.run(t, "disconnect", "--account", "acme", "--cluster", "rome").want(t, ExitFailure, "you may not delete serviceaccounts in namespace epic-acme", "epic-connector-issuer")
	})
	t.Run("standalone", func(t *testing.T) {
		i.kube = nil
		i.run(t, args...).want(t, ExitFailure, "standalone server")
	})
}

// publishes gives an account what the connectors of two clusters write: load balancers and
// gateway proxies of their own, and some that they share.
func (i *installation) publishes(t *testing.T, account string) {
	t.Helper()
	ctx, c, ns := t.Context(), i.client.EpicV1(), accountNamespace(account)
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	larger := []byte(`{"spec":{"public-pool":{"pool":"192.0.2.0-192.0.2.31"}}}`)
	check(c.ServicePrefixes("epic").Patch(ctx, "pool", types.MergePatchType, larger, metav1.PatchOptions{}))
	var o metav1.CreateOptions
	named := func(name, cluster string, labels ...string) metav1.ObjectMeta {
		m := metav1.ObjectMeta{Name: name, Labels: map[string]string{}}
		if cluster != "" {
			m.Labels[epic.OwningClusterLabel] = cluster
		}
		for n := 0; n < len(labels); n += 2 {
			m.Labels[labels[n]] = labels[n+1]
		}
		return m
	}
	for name, clusters := range map[string][]string{"own": {"paris"}, "shared": {"paris", "rome"}, "of-rome": {"rome"}, "by-hand": {"paris"}} {
		creator := clusters[0]
		if name == "by-hand" {
			creator = ""
		}
		m := named(name, creator)
		for _, cluster := range clusters {
			metav1.SetMetaDataAnnotation(&m, epic.OwnerAnnotation(cluster), "uid")
		}
		check(c.LoadBalancers(ns).Create(ctx, &v1.LoadBalancer{
			ObjectMeta: m,
			Spec:       v1.LoadBalancerSpec{ServiceGroup: "web", DisplayName: name, UpstreamClusters: clusters, PublicPorts: []v1.ServicePort{{Port: 80}}},
		}, o))
		for n, cluster := range clusters {
			check(c.RemoteEndpoints(ns).Create(ctx, &v1.RemoteEndpoint{
				ObjectMeta: named(name+"-"+cluster, map[bool]string{true: cluster}[creator != ""], epic.OwningLoadBalancerLabel, name),
				Spec:       v1.RemoteEndpointSpec{Cluster: cluster, Address: fmt.Sprintf("10.1.1.%d", n+1), NodeAddress: "10.0.0.1", Port: v1.EndpointPort{Port: 8080}},
			}, o))
		}
	}
	for name, owners := range map[string][]string{"own": nil, "shared": {"paris", "rome"}, "of-rome": nil, "joined-alone": {"paris"}, "by-hand": nil} {
		m := named(name, map[string]string{"own": "paris", "shared": "rome", "of-rome": "rome", "joined-alone": "rome"}[name], epic.OwningLBServiceGroupLabel, "web")
		for _, owner := range owners {
			metav1.SetMetaDataAnnotation(&m, epic.OwnerAnnotation(owner), "uid")
		}
		check(c.GWProxies(ns).Create(ctx, &v1.GWProxy{ObjectMeta: m, Spec: v1.GWProxySpec{DisplayName: name, PublicPorts: []v1.ServicePort{{Port: 443}}}}, o))
	}
	for _, cluster := range []string{"paris", "rome"} {
		check(c.GWEndpointSlices(ns).Create(ctx, &v1.GWEndpointSlice{ObjectMeta: named("slice-"+cluster, cluster), Spec: sliceSpec()}, o))
	}
}

// left lists what an account has, by resource.
func (i *installation) left(t *testing.T, account string) string {
	t.Helper()
	var out []string
	for _, kind := range contents(i.client.EpicV1(), accountNamespace(account)) {
		all, err := kind.names(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if kind.resource != "lbservicegroups" && len(all) > 0 {
			out = append(out, kind.resource+": "+strings.Join(all, " "))
		}
	}
	return strings.Join(out, "\n")
}

// Without --purge the cluster's endpoints go, and with it everything that no other cluster
// shares.
func TestDisconnectPurge(t *testing.T) {
	i := install(t)
	kube := i.beside(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "tls", Labels: map[string]string{epic.OwningClusterLabel: "paris", "epic.acnodal.io/use": "proxy"}}})
	givesTokens(kube)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fillGroup(t, "acme", "web")
	for _, cluster := range []string{"paris", "rome"} {
		i.run(t, "connect", "--account", "acme", "--cluster", cluster).want(t, ExitOK)
	}
	i.publishes(t, "acme")
	before := i.left(t, "acme")
	for _, mode := range []string{"client", "server"} {
		i.run(t, "disconnect", "--account", "acme", "--cluster", "paris", "--purge", "--dry-run="+mode).want(t, ExitOK,
			"remoteendpoints: 2 deleted", "loadbalancers/own deleted", "loadbalancers/shared configured", "gwproxies/own deleted", "gwproxies/shared configured", "dry run")
		if got := i.left(t, "acme"); got != before {
			t.Fatalf("A dry run left\n%s\nof\n%s", got, before)
		}
	}
	t.Run("endpoints", func(t *testing.T) {
		i.run(t, "disconnect", "--account", "acme", "--cluster", "paris").want(t, ExitOK, "remoteendpoints: 2 deleted", "gwendpointslices: 1 deleted", "--purge")
		want := `gwendpointslices: slice-rome
remoteendpoints: by-hand-paris of-rome-rome shared-rome
loadbalancers: by-hand of-rome own shared
gwproxies: by-hand joined-alone of-rome own shared`
		if got := i.left(t, "acme"); got != want {
			t.Errorf("It left\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("everything", func(t *testing.T) {
		r := i.run(t, "disconnect", "--account", "acme", "--cluster", "paris", "--purge")
		r.want(t, ExitOK, "loadbalancers/own deleted", "loadbalancers/shared configured", "gwproxies/own deleted", "gwproxies/joined-alone deleted", "gwproxies/shared configured")
		r.lacks(t, "Next:")
		want := `gwendpointslices: slice-rome
remoteendpoints: by-hand-paris of-rome-rome shared-rome
loadbalancers: by-hand of-rome shared
gwproxies: by-hand of-rome shared`
		if got := i.left(t, "acme"); got != want {
			t.Errorf("It left\n%s\nwant\n%s", got, want)
		}
		lb, err := i.client.EpicV1().LoadBalancers("epic-acme").Get(t.Context(), "shared", metav1.GetOptions{})
		if err != nil || fmt.Sprint(lb.Spec.UpstreamClusters) != "[rome]" || lb.Annotations[epic.OwnerAnnotation("paris")] != "" || lb.Annotations[epic.OwnerAnnotation("rome")] == "" {
			t.Errorf("The shared load balancer has %v, %v, %v", lb.Spec.UpstreamClusters, lb.Annotations, err)
		}
		proxy, err := i.client.EpicV1().GWProxies("epic-acme").Get(t.Context(), "shared", metav1.GetOptions{})
		if err != nil || proxy.Annotations[epic.OwnerAnnotation("paris")] != "" || proxy.Annotations[epic.OwnerAnnotation("rome")] == "" {
			t.Errorf("The shared gateway proxy has %v, %v", proxy.Annotations, err)
		}
		if !slices.ContainsFunc(kube.Actions(), func(a clienttesting.Action) bool {
			c, ok := a.(clienttesting.DeleteCollectionAction)
			return ok && c.GetListRestrictions().Labels.String() == "epic.acnodal.io/owning-cluster=paris,epic.acnodal.io/use=proxy"
		}) {
			t.Error("It left the Secrets")
		}
	})
	t.Run("the last cluster", func(t *testing.T) {
		i.run(t, "disconnect", "--account", "acme", "--cluster", "rome", "--purge").want(t, ExitOK, "loadbalancers/shared deleted", "gwproxies/shared deleted")
		if got, want := i.left(t, "acme"), "remoteendpoints: by-hand-paris\nloadbalancers: by-hand\ngwproxies: by-hand"; got != want {
			t.Errorf("It left\n%s\nwant\n%s", got, want)
		}
		i.run(t, "disconnect", "--account", "acme", "--cluster", "rome", "--purge").want(t, ExitOK, `Cluster "rome" has no objects`)
	})
}

// A shared gateway proxy keeps the certificates of a cluster that leaves until the connector
// of another one has replaced them.
func TestDisconnectPurgeLeavesCertificatesInUse(t *testing.T) {
	i := install(t)
	kube := i.beside()
	givesTokens(kube)
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fillGroup(t, "acme", "web")
	for _, cluster := range []string{"paris", "rome"} {
		i.run(t, "connect", "--account", "acme", "--cluster", cluster).want(t, ExitOK)
	}
	proxies := i.client.EpicV1().GWProxies("epic-acme")
	with := func(certificate string) []byte {
		return fmt.Appendf(nil, `{"spec":{"gateway":{"gatewayClassName":"epic","listeners":[{"name":"https","port":443,"protocol":"HTTPS","tls":{"certificateRefs":[{"name":%q}]}}]}}}`, certificate)
	}
	publish := func(name string, owners ...string) {
		t.Helper()
		m := metav1.ObjectMeta{Name: name, Labels: map[string]string{epic.OwningClusterLabel: "paris", epic.OwningLBServiceGroupLabel: "web"}}
		for _, owner := range owners {
			metav1.SetMetaDataAnnotation(&m, epic.OwnerAnnotation(owner), "uid")
		}
		if _, err := proxies.Create(t.Context(), &v1.GWProxy{ObjectMeta: m, Spec: v1.GWProxySpec{DisplayName: name, PublicPorts: []v1.ServicePort{{Port: 443}}}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := proxies.Patch(t.Context(), name, types.MergePatchType, with("paris."+name), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	publish("own")
	publish("shared", "paris", "rome")
	// The names of the Secrets of the cluster "paris.2" begin as those of "paris" do.
	if _, err := proxies.Create(t.Context(), &v1.GWProxy{
		ObjectMeta: metav1.ObjectMeta{Name: "other", Labels: map[string]string{epic.OwningClusterLabel: "paris.2", epic.OwningLBServiceGroupLabel: "web"}},
		Spec:       v1.GWProxySpec{DisplayName: "other", PublicPorts: []v1.ServicePort{{Port: 443}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := proxies.Patch(t.Context(), "other", types.MergePatchType, with("paris.2.other"), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	asked := func() string {
		t.Helper()
		for _, a := range slices.Backward(kube.Actions()) {
			if c, ok := a.(clienttesting.DeleteCollectionAction); ok {
				return c.GetListRestrictions().Fields.String()
			}
		}
		t.Fatal("It deletes no Secrets")
		return ""
	}
	args := []string{"disconnect", "--account", "acme", "--cluster", "paris", "--purge"}
	i.run(t, args...).want(t, ExitFailure, "gwproxies/own deleted", "gwproxies/shared configured",
		"the certificates of cluster paris that gwproxies/shared has are left", "repeat the command to complete it")
	if got, want := asked(), "metadata.name!=paris.shared"; got != want {
		t.Errorf("It deletes Secrets with %q, not %q", got, want)
	}
	// The connector of the other cluster comes back while the command waits.
	i.takeoverPatience = takeoverPatience{poll: time.Millisecond, wait: time.Minute, settle: time.Millisecond}
	kube.ClearActions()
	replaced := make(chan struct{})
	go func() {
		defer close(replaced)
		time.Sleep(200 * time.Millisecond)
		if slices.ContainsFunc(kube.Actions(), func(a clienttesting.Action) bool { return a.GetVerb() == "delete-collection" }) {
			t.Error("It deletes Secrets before the proxy has others")
		}
		if _, err := proxies.Patch(t.Context(), "shared", types.MergePatchType, with("rome.shared"), metav1.PatchOptions{}); err != nil {
			t.Error(err)
		}
	}()
	i.run(t, args...).want(t, ExitOK)
	<-replaced
	if got := asked(); got != "" {
		t.Errorf("It deletes Secrets with %q", got)
	}
}

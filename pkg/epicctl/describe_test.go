// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	v1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/tunnelstate/idset"
)

func TestDescribeAccount(t *testing.T) {
	i := install(t)
	kube := i.beside()
	i.run(t, "create", "account", "acme", "--proxy-limit", "2", "--admin-user", "jane", "--service-account", "epic-acme/deployer").want(t, ExitOK)
	i.fill(t, "acme")
	acme := i.account(t, "acme")
	acme.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: "False", Reason: "Waiting", Message: "one\nanother \x1b[31mline", LastTransitionTime: metav1.Now()}}
	if _, err := i.client.EpicV1().Accounts("epic-acme").UpdateStatus(t.Context(), acme, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	r := i.run(t, "describe", "account", "acme")
	r.want(t, ExitOK,
		"Name: acme", "Namespace: epic-acme", "Group ID: 1", "Proxies: 2 of 2 (at the limit",
		"Load balancers: 1", "Gateways: 1", "Tunnels: 2", "Remote endpoints: 1", "Endpoint slices: 1", "Last service ID: 1",
		"NAME PREFIX SHARED REPLICAS web pool false 1",
		"LoadBalancer shop web 192.0.2.0 shop.web.acme.client.acnodal.io",
		"GWProxy gate web 192.0.2.1",
		"LoadBalancer shop 10.0.0.1 192.168.1.40 6080/UDP 1", "LoadBalancer shop 10.0.0.1 192.168.1.41 6080/UDP 2",
		"epic-tenant-admin User jane epic-tenant-admin", "epic-tenant-admin ServiceAccount epic-acme/deployer",
		"Ready False Waiting", "one another  [31mline")
	if strings.Contains(r.stdout, "\x1b") {
		t.Error("What a tenant wrote reaches the terminal as it is")
	}
	i.run(t, "describe", "account", "nobody").want(t, ExitFailure, "account nobody does not exist")

	kube.PrependReactor("list", "rolebindings", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Group: rbacv1.GroupName, Resource: "rolebindings"}, "", errors.New(`User "jane" cannot list resource "rolebindings"`))
	})
	i.run(t, "describe", "account", "acme").want(t, ExitOK, "Rights: unknown: you may not list rolebindings.rbac.authorization.k8s.io in namespace epic-acme", "Conditions:")
	i.kube = nil
	i.run(t, "describe", "account", "acme").want(t, ExitOK, "Rights: this standalone server")
}

// The description reports which tunnels are up, to those who may read it, and what is not
// ready, to everybody.
func TestDescribeTunnels(t *testing.T) {
	i := install(t)
	i.beside()
	i.run(t, "create", "account", "acme").want(t, ExitOK)
	i.fill(t, "acme")
	c, ctx := i.client.EpicV1(), t.Context()
	nodes := c.GatewayNodes("epic")
	node, err := nodes.Create(ctx, &v1.GatewayNode{ObjectMeta: metav1.ObjectMeta{Name: "192.168.1.40"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// Tunnel 2 ends on another node, of which this one describes what is not its to say.
	node.Status.TunnelStates = &v1.TunnelStates{Up: idset.Of(2).Encode(), Down: idset.Of(1).Encode()}
	if _, err := nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	condition := func(kind, reason string) string {
		return fmt.Sprintf(`{"type":%q,"status":"False","reason":%q,"message":"see the node","lastTransitionTime":%q}`, kind, reason, time.Now().Add(-5*time.Minute).Format(time.RFC3339))
	}
	patch := func(conditions ...string) []byte {
		return fmt.Appendf(nil, `{"status":{"conditions":[%s]}}`, strings.Join(conditions, ","))
	}
	if _, err := c.LoadBalancers("epic-acme").Patch(ctx, "shop", types.MergePatchType, patch(condition("TunnelsUp", "SomeTunnelsDown"), condition("Ready", "Other")), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.RemoteEndpoints("epic-acme").Patch(ctx, "pod1", types.MergePatchType, patch(condition("TunnelReady", "AllTunnelsDown"), condition("Ready", "AllTunnelsDown")), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	i.run(t, "describe", "account", "acme").want(t, ExitOK, "PORT ID STATE",
		"LoadBalancer shop 10.0.0.1 192.168.1.40 6080/UDP 1 down", "LoadBalancer shop 10.0.0.1 192.168.1.41 6080/UDP 2 unknown",
		"LoadBalancer shop TunnelsUp SomeTunnelsDown 5m", "RemoteEndpoint pod1 Ready AllTunnelsDown 5m", "see the node")
}

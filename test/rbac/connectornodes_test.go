// SPDX-License-Identifier: Apache-2.0

package rbac

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/ptr"
)

// TestConnectorsMakeTheirOwnNodes shows which service accounts, tokens and role bindings a
// connector may write.
func TestConnectorsMakeTheirOwnNodes(t *testing.T) {
	plugin := policies(t, "connector-nodes.yaml")
	const (
		paris = "system:serviceaccount:epic-acme:connector.paris"
		node  = "node.paris.192.0.2.16"
		bind  = "epic-node-client.paris"
	)
	account := func(name string) *corev1.ServiceAccount {
		return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: name}}
	}
	withSecret := account(node)
	withSecret.Secrets = []corev1.ObjectReference{{Name: "other"}}
	token := func(hours int64) *authenticationv1.TokenRequest {
		return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(hours * 3600)}}
	}
	binding := func(role string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
		return &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "epic-acme", Name: "b"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role}, Subjects: subjects,
		}
	}
	subject := func(name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "epic-acme", Name: name}
	}
	elsewhere, noNamespace := subject(node), subject(node)
	elsewhere.Namespace, noNamespace.Namespace = "epic-other", ""
	nodes := binding("epic-node-client", subject(node))
	const accounts, bindings = "serviceaccounts", "rolebindings"
	for _, test := range []struct {
		name, user, resource, subresource, object string
		op                                        admission.Operation
		is, to                                    runtime.Object
		want                                      string
	}{
		{"a node", paris, accounts, "", node, admission.Create, nil, account(node), ""},
		{"a node deleted", paris, accounts, "", node, admission.Delete, account(node), nil, ""},
		{"a node with another's Secret", paris, accounts, "", node, admission.Create, nil, withSecret, "secrets: "},
		{"another cluster's node", paris, accounts, "", "node.rome.192.0.2.16", admission.Create, nil, account("node.rome.192.0.2.16"), "of its own nodes, node.paris.ADDRESS"},
		{"a node of the account", paris, accounts, "", "node.192.0.2.16", admission.Create, nil, account("node.192.0.2.16"), "of its own nodes"},
		{"a cluster that begins alike", paris, accounts, "", "node.paris2.192.0.2.16", admission.Create, nil, account("node.paris2.192.0.2.16"), "of its own nodes"},
		{"another connector", paris, accounts, "", "connector.oslo", admission.Create, nil, account("connector.oslo"), "of its own nodes"},
		{"itself deleted", paris, accounts, "", "connector.paris", admission.Delete, account("connector.paris"), nil, "is none of the cluster paris"},
		{"the tenant's deleted", paris, accounts, "", "deployer", admission.Delete, account("deployer"), nil, "is none of the cluster paris"},
		{"another's node deleted", paris, accounts, "", "node.rome.192.0.2.16", admission.Delete, account("node.rome.192.0.2.16"), nil, "is none of the cluster paris"},
		{"somebody else's", "jane", accounts, "", "deployer", admission.Create, nil, account("deployer"), ""},
		{"another namespace's", "system:serviceaccount:other:connector.paris", accounts, "", "deployer", admission.Create, nil, account("deployer"), ""},

		{"a node's token", paris, accounts, "token", node, admission.Create, nil, token(1), ""},
		{"a node's token for long", paris, accounts, "token", node, admission.Create, nil, token(25), "valid for a day at most"},
		{"its own token", paris, accounts, "token", "connector.paris", admission.Create, nil, token(720), ""},
		{"another connector's token", paris, accounts, "token", "connector.rome", admission.Create, nil, token(1), "tokens of itself and"},
		{"a connector's that begins alike", paris, accounts, "token", "connector.paris2", admission.Create, nil, token(1), "tokens of itself and"},
		{"another node's token", paris, accounts, "token", "node.rome.192.0.2.16", admission.Create, nil, token(1), "tokens of itself and"},
		{"the tenant's token", paris, accounts, "token", "deployer", admission.Create, nil, token(1), "tokens of itself and"},
		{"the default token", paris, accounts, "token", "default", admission.Create, nil, token(1), "tokens of itself and"},
		{"a person's", "jane", accounts, "token", "deployer", admission.Create, nil, token(720), ""},

		{"nodes bound", paris, bindings, "", bind, admission.Update, binding("epic-node-client"), nodes, ""},
		{"nodes unbound", paris, bindings, "", bind, admission.Update, nodes, binding("epic-node-client"), ""},
		{"another cluster's node bound", paris, bindings, "", bind, admission.Update, nodes, binding("epic-node-client", subject("node.rome.192.0.2.16")), "subjects: "},
		{"itself bound", paris, bindings, "", bind, admission.Update, nodes, binding("epic-node-client", subject(node), subject("connector.paris")), "subjects: "},
		{"a user bound", paris, bindings, "", bind, admission.Update, nodes, binding("epic-node-client", rbacv1.Subject{Kind: "User", Name: "node.paris.x"}), "subjects: "},
		{"a group bound", paris, bindings, "", bind, admission.Update, nodes, binding("epic-node-client", rbacv1.Subject{Kind: "Group", Name: "node.paris.x"}), "subjects: "},
		{"of another namespace", paris, bindings, "", bind, admission.Update, nodes, binding("epic-node-client", elsewhere), "subjects: "},
		{"of no namespace", paris, bindings, "", bind, admission.Update, nodes, binding("epic-node-client", noNamespace), "subjects: "},
		{"another role", paris, bindings, "", bind, admission.Update, nodes, binding("epic-tenant-admin", subject(node)), "roleRef: "},
		{"another cluster's binding", paris, bindings, "", "epic-node-client.rome", admission.Update, nodes, nodes, "epic-node-client.paris of its own nodes only"},
		{"the account's binding", paris, bindings, "", "epic-node-client", admission.Update, nodes, nodes, "epic-node-client.paris of its own nodes only"},
		{"the connectors' binding", paris, bindings, "", "epic-connector.paris", admission.Update, nodes, nodes, "of its own nodes only"},
		{"a new binding", paris, bindings, "", bind, admission.Create, nil, nodes, "of its own nodes only"},
		{"its binding deleted", paris, bindings, "", bind, admission.Delete, nodes, nil, "of its own nodes only"},
		{"somebody else's binding", "jane", bindings, "", "x", admission.Create, nil, binding("epic-tenant-admin", subject("deployer")), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := plugin.validate(t, test.resource, test.subresource, test.object, test.is, test.to, test.op, test.user)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), test.want)):
				t.Errorf("The answer is %v, want %q", err, test.want)
			}
		})
	}
}

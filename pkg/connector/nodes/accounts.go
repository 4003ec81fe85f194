// SPDX-License-Identifier: Apache-2.0

package nodes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/buildinfo"
	"github.com/acnodal/epic/pkg/nodeidentity"
	"github.com/acnodal/epic/pkg/skew"
)

const (
	// Lifetime is how long a node's token is valid.
	Lifetime = time.Hour
	// UIDAnnotation on a node's service account is the UID of the Node with its address.
	UIDAnnotation = epic.LabelPrefix + "client-node-uid"
	// NameAnnotation is the name of that Node.
	NameAnnotation = epic.LabelPrefix + "client-node"

	fieldManager = "epic-connector"
)

// BindingName returns the name of the role binding whose subjects are a cluster's nodes.
func BindingName(cluster string) string { return "epic-node-client." + cluster }

// Node is a node of the client cluster.
type Node struct {
	Name string
	UID  types.UID
	// Address is the address by which EPIC identifies it.
	Address netip.Addr
}

// Accounts manages the service accounts of a cluster's nodes in EPIC.
type Accounts struct {
	// Client is a client of EPIC's cluster.
	Client kubernetes.Interface
	// Cluster is the client cluster's ID, Namespace the account's namespace.
	Cluster, Namespace string
	// Nodes returns the addresses of the client cluster's Nodes by their UIDs.
	Nodes func(ctx context.Context) (map[types.UID]netip.Addr, error)
}

// Token returns a new token of a node's service account, which it creates and binds if
// necessary, and the name of the account.
func (a *Accounts) Token(ctx context.Context, node Node) (account, token string, err error) {
	name := nodeidentity.ClusterAccountName(a.Cluster, node.Address)
	made, err := a.ensure(ctx, name, node)
	if err != nil {
		return "", "", err
	}
	if err := a.bind(ctx, name); err != nil {
		return "", "", err
	}
	answer, err := a.Client.CoreV1().ServiceAccounts(a.Namespace).CreateToken(ctx, name, &authenticationv1.TokenRequest{
		ObjectMeta: metav1.ObjectMeta{UID: made.UID},
		Spec:       authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(Lifetime / time.Second))},
	}, metav1.CreateOptions{})
	if err != nil {
		return "", "", fmt.Errorf("get a token of the service account %s in EPIC: %w", name, err)
	}
	return name, answer.Status.Token, nil
}

// ensure returns the service account of a node. An address belongs to the first Node that
// has it, as long as that Node has it: a node can write addresses into its own Node
// object, and must not get another node's credential that way.
func (a *Accounts) ensure(ctx context.Context, name string, node Node) (*corev1.ServiceAccount, error) {
	client := a.Client.CoreV1().ServiceAccounts(a.Namespace)
	is, err := client.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, fmt.Errorf("read the service account %s in EPIC: %w", name, err)
	case is.Annotations[UIDAnnotation] == string(node.UID):
		return is, nil
	default:
		nodes, err := a.Nodes(ctx)
		if err != nil {
			return nil, err
		}
		if nodes[types.UID(is.Annotations[UIDAnnotation])] == node.Address {
			return nil, Refuse(http.StatusConflict, "node %s has the address %s in its status or annotation, which belongs to node %s: set a unique address with the annotation %snode-address",
				node.Name, node.Address, is.Annotations[NameAnnotation], epic.LabelPrefix)
		}
		// Deleting the previous account revokes the tokens of the node that no longer
		// exists.
		if err := a.delete(ctx, is); err != nil {
			return nil, err
		}
	}
	is, err = client.Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: a.Namespace, Name: name,
			Labels: map[string]string{
				epic.PartOfLabel: epic.ProductName, epic.OwningClusterLabel: epic.LabelValue(a.Cluster),
			},
			Annotations: map[string]string{UIDAnnotation: string(node.UID), NameAnnotation: node.Name},
		},
		// No pod of the gateway cluster runs with this account.
		AutomountServiceAccountToken: ptr.To(false),
	}, metav1.CreateOptions{FieldManager: fieldManager})
	if err != nil {
		return nil, fmt.Errorf("create the service account %s in EPIC: %w", name, err)
	}
	return is, nil
}

// bind makes a service account a subject of the cluster's role binding.
func (a *Accounts) bind(ctx context.Context, name string) error {
	return a.changeSubjects(ctx, func(subjects []rbacv1.Subject) []rbacv1.Subject {
		want := a.subject(name)
		if slices.Contains(subjects, want) {
			return subjects
		}
		return append(slices.Clone(subjects), want)
	})
}

func (a *Accounts) subject(name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: a.Namespace, Name: name}
}

func (a *Accounts) changeSubjects(ctx context.Context, change func([]rbacv1.Subject) []rbacv1.Subject) error {
	client := a.Client.RbacV1().RoleBindings(a.Namespace)
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		is, err := client.Get(ctx, BindingName(a.Cluster), metav1.GetOptions{})
		if err != nil {
			return err
		}
		subjects := change(is.Subjects)
		// The version is for "epicctl version". It is written when a node requests a
		// credential, which each does twice an hour.
		release := buildinfo.Release()
		if slices.Equal(subjects, is.Subjects) && is.Annotations[skew.ConnectorAnnotation] == release {
			return nil
		}
		is.Subjects = subjects
		metav1.SetMetaDataAnnotation(&is.ObjectMeta, skew.ConnectorAnnotation, release)
		_, err = client.Update(ctx, is, metav1.UpdateOptions{FieldManager: fieldManager})
		return err
	})
	if err != nil {
		return fmt.Errorf("change the role binding %s in EPIC: %w", BindingName(a.Cluster), err)
	}
	return nil
}

func (a *Accounts) delete(ctx context.Context, account *corev1.ServiceAccount) error {
	err := a.Client.CoreV1().ServiceAccounts(a.Namespace).Delete(ctx, account.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &account.UID},
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete the service account %s in EPIC: %w", account.Name, err)
	}
	return nil
}

// Sweep deletes the service accounts of nodes that the client cluster no longer has,
// which revokes their tokens. It returns the number of deleted accounts.
func (a *Accounts) Sweep(ctx context.Context) (int, error) {
	list, err := a.Client.CoreV1().ServiceAccounts(a.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: epic.OwningClusterLabel + "=" + epic.LabelValue(a.Cluster),
	})
	if err != nil {
		return 0, fmt.Errorf("list service accounts in EPIC: %w", err)
	}
	nodes, err := a.Nodes(ctx)
	if err != nil {
		return 0, err
	}
	prefix := nodeidentity.ClusterAccountPrefix(a.Cluster)
	gone := map[rbacv1.Subject]bool{}
	var errs []error
	for i := range list.Items {
		account := &list.Items[i]
		if !strings.HasPrefix(account.Name, prefix) {
			continue
		}
		address, err := nodeidentity.AddressOf(account.Name)
		if err == nil && nodes[types.UID(account.Annotations[UIDAnnotation])] == address {
			continue
		}
		if err := a.delete(ctx, account); err != nil {
			errs = append(errs, err)
			continue
		}
		gone[a.subject(account.Name)] = true
	}
	if len(gone) > 0 {
		errs = append(errs, a.changeSubjects(ctx, func(subjects []rbacv1.Subject) []rbacv1.Subject {
			return slices.DeleteFunc(slices.Clone(subjects), func(s rbacv1.Subject) bool { return gone[s] })
		}))
	}
	return len(gone), errors.Join(errs...)
}

// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/acnodal/epic/pkg/apis/epic"
)

// Roles for an account's people, nodes and clusters, and the names of their bindings.
const (
	tenantAdminRole  = "epic-tenant-admin"
	tenantViewerRole = "epic-tenant-viewer"
	nodeClientRole   = "epic-node-client"
	connectorRole    = "epic-connector"
	// offeredRole allows reading the groups that are offered to all accounts.
	offeredRole = "epic-offered-viewer"
)

// offeredBinding returns the name of an account's role binding in the platform team's
// namespace.
func offeredBinding(account string) string { return offeredRole + "-" + account }

// subjectFlags lists who gets permissions in an account.
type subjectFlags struct {
	adminUsers, adminGroups, viewUsers, viewGroups, serviceAccounts []string
}

func (f *subjectFlags) addFlags(c *cobra.Command) {
	// Names of users may contain commas, so each flag takes one name.
	c.Flags().StringArrayVar(&f.adminUsers, "admin-user", nil, "A user who may administer the account's objects. May be given several times.")
	c.Flags().StringArrayVar(&f.adminGroups, "admin-group", nil, "A group whose members may administer the account's objects. May be given several times.")
	c.Flags().StringArrayVar(&f.viewUsers, "view-user", nil, "A user who may view the account's objects. May be given several times.")
	c.Flags().StringArrayVar(&f.viewGroups, "view-group", nil, "A group whose members may view the account's objects. May be given several times.")
	c.Flags().StringArrayVar(&f.serviceAccounts, "service-account", nil, "A service account, as NAMESPACE/NAME, that may administer the account's objects. May be given several times.")
	for _, flag := range []string{"admin-user", "admin-group", "view-user", "view-group", "service-account"} {
		must(c.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions))
	}
}

// bindings returns a binding for each role that is granted to somebody.
func (f *subjectFlags) bindings(account string) ([]*rbacv1.RoleBinding, error) {
	admins, err := people(f.adminUsers, f.adminGroups, "--admin")
	if err != nil {
		return nil, err
	}
	for _, s := range f.serviceAccounts {
		ns, name, ok := strings.Cut(s, "/")
		if !ok || len(validation.IsDNS1123Label(ns)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
			return nil, usagef("--service-account %q: write it as NAMESPACE/NAME", shortened(s))
		}
		admins = append(admins, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name})
	}
	viewers, err := people(f.viewUsers, f.viewGroups, "--view")
	if err != nil {
		return nil, err
	}
	var out []*rbacv1.RoleBinding
	for _, b := range []struct {
		role     string
		subjects []rbacv1.Subject
	}{{tenantAdminRole, admins}, {tenantViewerRole, viewers}} {
		if subjects, _ := union(nil, b.subjects); len(subjects) > 0 {
			out = append(out, newBinding(accountNamespace(account), b.role, subjects))
		}
	}
	if subjects, _ := union(nil, append(slices.Clone(admins), viewers...)); len(subjects) > 0 {
		offered := newBinding(epic.ConfigNamespace, offeredRole, subjects)
		offered.Name = offeredBinding(account)
		out = append(out, offered)
	}
	return out, nil
}

func people(users, groups []string, flag string) ([]rbacv1.Subject, error) {
	var out []rbacv1.Subject
	add := func(kind, flag string, names []string) error {
		for _, name := range names {
			if strings.TrimSpace(name) == "" {
				return usagef("%s is empty: set a name", flag)
			}
			out = append(out, rbacv1.Subject{Kind: kind, APIGroup: rbacv1.GroupName, Name: name})
		}
		return nil
	}
	if err := add(rbacv1.UserKind, flag+"-user", users); err != nil {
		return nil, err
	}
	err := add(rbacv1.GroupKind, flag+"-group", groups)
	return out, err
}

func newBinding(namespace, role string, subjects []rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: role, Labels: copied(bindingLabels)},
		RoleRef:    clusterRole(role),
		Subjects:   subjects,
	}
}

func clusterRole(name string) rbacv1.RoleRef {
	return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}
}

// union returns the distinct subjects of both, and whether these are more than have.
func union(have, more []rbacv1.Subject) (all []rbacv1.Subject, grown bool) {
	all = slices.Clone(have)
	for _, s := range more {
		if !slices.Contains(all, s) {
			all = append(all, s)
			grown = true
		}
	}
	return all, grown
}

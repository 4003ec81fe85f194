// SPDX-License-Identifier: Apache-2.0

package epicctl

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/shorten"
)

// maxAccountName leaves room for the prefix in the name of a namespace.
const maxAccountName = validation.DNS1123LabelMaxLength - len(epic.AccountNamespacePrefix)

// checkAccountName rejects an invalid name before anything is created: otherwise, the
// namespace would already exist when the server rejects the account.
func checkAccountName(name string) error {
	switch problems := validation.IsDNS1123Label(name); {
	case name == "":
		return usagef("the account has no name: specify one")
	case len(name) > maxAccountName:
		return usagef("the account's name %q is %d characters long: shorten it to %d, so its namespace can be called %sNAME",
			shortened(name), len(name), maxAccountName, epic.AccountNamespacePrefix)
	case len(problems) > 0 && strings.HasPrefix(name, epic.AccountNamespacePrefix) || strings.Contains(name, "/"):
		return usagef("%q is not the name of an account: leave out the namespace", shortened(name))
	case len(problems) > 0:
		return usagef("the account's name %q is invalid: use lowercase letters, digits and dashes, with a letter or a digit at both ends", shortened(name))
	}
	return nil
}

// checkNewAccountName rejects names whose namespaces are those of EPIC's own programs: a
// tenant would get permissions in them.
func checkNewAccountName(name string) error {
	if slices.Contains([]string{"system", epic.NodeNamespace[len(epic.AccountNamespacePrefix):]}, name) {
		return usagef("an account can't be named %q, because the namespace %s belongs to EPIC's own programs: choose another name", name, accountNamespace(name))
	}
	return checkAccountName(name)
}

// shortened returns a value in a form suitable for a message.
func shortened(s string) string { return shorten.To(80, s) } //nolint:mnd // about a line

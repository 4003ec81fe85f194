// SPDX-License-Identifier: Apache-2.0

package validation

import (
	"testing"

	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
)

func validAccount() *epic.Account {
	return &epic.Account{ObjectMeta: meta("epic-root", "root")}
}

func TestAccount(t *testing.T) {
	creations(t, validAccount, ValidateAccount, []change[epic.Account]{
		{"58 characters", func(o *epic.Account) { o.Name = long(58); o.Namespace = "epic-" + long(58) }, "", ""},
		{"59 characters", func(o *epic.Account) { o.Name = long(59); o.Namespace = "epic-" + long(59) }, "metadata.name", "longer than 58"},
		{"another's namespace", func(o *epic.Account) { o.Namespace = "epic-other" }, "metadata.namespace", "belongs in the namespace epic-root"},
		{"the system's namespace", func(o *epic.Account) { o.Namespace = "epic" }, "metadata.namespace", "belongs in the namespace epic-root"},
		{"the server's namespace", func(o *epic.Account) { o.Name = "system"; o.Namespace = "epic-system" }, "metadata.name", "EPIC's own programs"},
		{"the nodes' namespace", func(o *epic.Account) { o.Name = "node"; o.Namespace = "epic-node" }, "metadata.name", "EPIC's own programs"},
		{"dots", func(o *epic.Account) { o.Name = "a.b"; o.Namespace = "epic-a.b" }, "metadata.name", "dots"},
		{"upper case", func(o *epic.Account) { o.Name = "Root" }, "metadata.name", "lowercase"},
		{"no name", func(o *epic.Account) { o.Name = "" }, "metadata.name", "Required"},
		{"a group ID from a backup", func(o *epic.Account) { o.Spec.GroupID = 1 }, "", ""},
		{"a negative group ID", func(o *epic.Account) { o.Spec.GroupID = -1 }, "spec.group-id", "leave it out"},
		{"limit 0", func(o *epic.Account) { o.Spec.ProxyLimit = num(0) }, "", ""},
		{"negative limit", func(o *epic.Account) { o.Spec.ProxyLimit = num(-1) }, "spec.proxyLimit", "from 0 to 100000"},
		{"limits", func(o *epic.Account) { o.Spec.ObjectLimit, o.Spec.StorageLimitBytes = num(0), ptr.To[int64](0) }, "", ""},
		{"negative object limit", func(o *epic.Account) { o.Spec.ObjectLimit = num(-1) }, "spec.objectLimit", "from 0"},
		{"negative storage limit", func(o *epic.Account) { o.Spec.StorageLimitBytes = ptr.To[int64](-1) }, "spec.storageLimitBytes", "from 0"},
		{"huge limit", func(o *epic.Account) { o.Spec.ProxyLimit = num(2147483647) }, "spec.proxyLimit", "from 0 to 100000"},
	})
	numbered := func() *epic.Account {
		o := validAccount()
		o.Spec.GroupID = 5
		return o
	}
	updates(t, numbered, ValidateAccountUpdate, []change[epic.Account]{
		{"limit", func(o *epic.Account) { o.Spec.ProxyLimit = num(50) }, "", ""},
		{"bad limit", func(o *epic.Account) { o.Spec.ProxyLimit = num(-50) }, "spec.proxyLimit", "from 0"},
		{"group ID", func(o *epic.Account) { o.Spec.GroupID = 6 }, "spec.group-id", "can't be changed from 5"},
		{"no group ID", func(o *epic.Account) { o.Spec.GroupID = 0 }, "spec.group-id", "can't be changed from 5"},
	})
	updates(t, numbered, ValidateAccountStatusUpdate, []change[epic.Account]{
		{"condition", func(o *epic.Account) { o.Status.Conditions = append(o.Status.Conditions, condition()) }, "", ""},
		{"service ID", func(o *epic.Account) { o.Status.CurrentServiceID = 6 }, "status.current-service-id", "assigned by the server"},
	})
}

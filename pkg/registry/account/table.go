// SPDX-License-Identifier: Apache-2.0

package account

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/kind"
)

type object = epic.Account

func newTable() rest.TableConvertor {
	return kind.NewTable[object](epic.ResourceAccounts,
		kind.Number("Group ID", "Numeric ID of the account.", func(o *object) int64 { return int64(o.Spec.GroupID) }),
		kind.Number("Proxy Limit", "Maximum number of load balancers and gateway proxies of the account.", func(o *object) int64 {
			return int64(ptr.Deref(o.Spec.ProxyLimit, epic.DefaultProxyLimit))
		}),
		kind.Ready(func(o *object) []metav1.Condition { return o.Status.Conditions }),
		kind.Number("Last Service ID", "The service ID that was assigned most recently in the account.", func(o *object) int64 { return int64(o.Status.CurrentServiceID) }).Wide(),
	)
}

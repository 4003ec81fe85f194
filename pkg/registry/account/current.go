// SPDX-License-Identifier: Apache-2.0

package account

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/pkg/registry/tenancy"
)

// currentTimeout bounds how long a read of accounts waits for etcd to tell the
// last IDs.
const currentTimeout = 5 * time.Second

// LastIDs tells the IDs that were assigned most recently.
type LastIDs interface {
	Last(ctx context.Context, spaces ...claims.Space) ([]int32, error)
}

// ShowCurrent returns a decorator that fills the last service ID in wherever an
// account is shown. It is not stored with the account: every new load balancer
// would then write its account, and writers would wait for each other.
func ShowCurrent(ids LastIDs) func(runtime.Object) {
	return func(obj runtime.Object) {
		var accounts []*epic.Account
		switch o := obj.(type) {
		case *epic.Account:
			accounts = append(accounts, o)
		case *epic.AccountList:
			for i := range o.Items {
				accounts = append(accounts, &o.Items[i])
			}
		}
		if len(accounts) > 0 {
			show(ids, accounts)
		}
	}
}

func show(ids LastIDs, accounts []*epic.Account) {
	ctx, cancel := context.WithTimeout(context.Background(), currentTimeout)
	defer cancel()
	spaces := make([]claims.Space, len(accounts))
	for i, a := range accounts {
		spaces[i] = claims.ServiceIDs(tenancy.AccountRef(a.Namespace))
	}
	last, err := ids.Last(ctx, spaces...)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Could not read the last IDs; they are left out")
		return
	}
	for i, a := range accounts {
		a.Status.CurrentServiceID = last[i]
	}
}

// SPDX-License-Identifier: Apache-2.0

package epic

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	"github.com/acnodal/epic/pkg/registry/claims"
)

// currentTimeout bounds how long a read of the EPIC object waits for etcd to
// tell the last IDs.
const currentTimeout = 5 * time.Second

// LastIDs tells the IDs that were assigned most recently.
type LastIDs interface {
	Last(ctx context.Context, spaces ...claims.Space) ([]int32, error)
}

// ShowCurrent returns a decorator that fills the last IDs in wherever an EPIC
// object is shown. They are not stored with the object: every assignment in the
// system would then write it, and writers would wait for each other.
func ShowCurrent(ids LastIDs) func(runtime.Object) {
	return func(obj runtime.Object) {
		switch o := obj.(type) {
		case *epic.EPIC:
			show(ids, o)
		case *epic.EPICList:
			for i := range o.Items {
				show(ids, &o.Items[i])
			}
		}
	}
}

func show(ids LastIDs, o *epic.EPIC) {
	ctx, cancel := context.WithTimeout(context.Background(), currentTimeout)
	defer cancel()
	last, err := ids.Last(ctx, claims.TunnelIDs, claims.GroupIDs)
	if err != nil {
		klog.FromContext(ctx).Error(err, "Could not read the last IDs; they are left out")
		return
	}
	o.Status.CurrentTunnelID, o.Status.CurrentGroupID = last[0], last[1]
}

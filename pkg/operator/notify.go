// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"

	"github.com/acnodal/epic/pkg/envoy/delta"
	"github.com/acnodal/epic/pkg/envoy/resource"
	"github.com/acnodal/epic/pkg/envoy/xds"
	"github.com/acnodal/epic/pkg/proxyidentity"
)

// settle is the delay of a status update after an event of an Envoy, so several events
// are handled together.
const settle = 200 * time.Millisecond

type queueOf[R comparable] = workqueue.TypedRateLimitingInterface[R]

// notify adds objects to the queue of a controller once that has started. Before that, it
// does nothing, because a controller begins with all objects.
type notify[R comparable] struct {
	mu    sync.RWMutex
	queue queueOf[R]
}

type (
	notifier      = notify[proxyidentity.Proxy]
	routeNotifier = notify[types.NamespacedName]
)

// bind implements a source of a controller.
func (n *notify[R]) bind(_ context.Context, queue queueOf[R]) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queue = queue
	return nil
}

// add enqueues an object after a delay.
func (n *notify[R]) add(request R, after time.Duration) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if n.queue != nil {
		n.queue.AddAfter(request, after)
	}
}

// Observer updates the status of an object when its Envoys connect or respond. It is
// created before the operator, because the xDS server needs it.
type Observer struct {
	changed atomic.Pointer[notifier]
}

var _ xds.Observer = &Observer{}

func (o *Observer) add(id proxyidentity.Identity) {
	if n := o.changed.Load(); n != nil {
		n.add(id.Proxy, settle)
	}
}

// Connected implements xds.Observer.
func (o *Observer) Connected(id proxyidentity.Identity, _ time.Time) { o.add(id) }

// Disconnected implements xds.Observer.
func (o *Observer) Disconnected(id proxyidentity.Identity, _ time.Time, _ error) { o.add(id) }

// Acknowledged implements xds.Observer. It ignores endpoints, which change frequently and
// are not part of any status.
func (o *Observer) Acknowledged(id proxyidentity.Identity, a delta.Acknowledgment) {
	if a.Type != resource.Endpoint {
		o.add(id)
	}
}

// Refused implements xds.Observer.
func (o *Observer) Refused(id proxyidentity.Identity, _ delta.Refusal) { o.add(id) }

// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/node/intent"
	"github.com/acnodal/epic/pkg/node/proxies"
	"github.com/acnodal/epic/pkg/workers"
)

const (
	// timeout limits a request to the API.
	timeout = 30 * time.Second
	// atOnce is the number of objects that are published concurrently.
	atOnce = 4
)

// Interfaces publishes proxies' interfaces.
type Interfaces struct {
	client versioned.Interface
	node   netip.Addr
	port   uint16
	source func(intent.Key) []proxies.Interface
	known  func(intent.Key) (*epicv1.ProxyStatus, string, bool)
	queue  workqueue.TypedRateLimitingInterface[intent.Key]

	mu   sync.Mutex
	errs map[intent.Key]error
}

// NewInterfaces returns a publisher for a node, whose tunnels end at its address and
// port. source returns the proxies of an object that run here, and known the watched
// version of its status.
func NewInterfaces(client versioned.Interface, node netip.Addr, port uint16,
	source func(intent.Key) []proxies.Interface, known func(intent.Key) (*epicv1.ProxyStatus, string, bool),
) *Interfaces {
	return &Interfaces{
		client: client, node: node, port: port, source: source, known: known, errs: map[intent.Key]error{},
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[intent.Key](20*time.Millisecond, time.Minute)),
	}
}

// Check enqueues an object: its proxies or its status may have changed. Before Run, it is
// only recorded.
func (p *Interfaces) Check(key intent.Key) { p.queue.Add(key) }

// Err returns what can't be published, or nil if everything is.
func (p *Interfaces) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, err := range p.errs {
		return fmt.Errorf("publish the interfaces of %s: %w", key, err)
	}
	return nil
}

// Run publishes until the context ends. Start it when the proxies of the node are known:
// those that are missing then count as gone.
func (p *Interfaces) Run(ctx context.Context) {
	workers.Run(ctx, p.queue, atOnce, p.work)
}

// work publishes the interfaces of an object, and reports whether it has to be retried.
func (p *Interfaces) work(ctx context.Context, key intent.Key) (again bool) {
	err := p.publish(ctx, key)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.errs, key)
		return false
	}
	if before := p.errs[key]; before == nil || before.Error() != err.Error() {
		klog.FromContext(ctx).Info("The interfaces of a proxy can't be published, trying again", "object", key.String(), "err", err)
	}
	p.errs[key] = err
	return true
}

func (p *Interfaces) publish(ctx context.Context, key intent.Key) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	running := p.source(key)
	status, version, ok := p.known(key)
	if !ok {
		if len(running) == 0 {
			return nil
		}
		// It has nothing on this node yet, so the watch does not include it.
		var err error
		if status, version, err = p.get(ctx, key); apierrors.IsNotFound(err) {
			// Its pod will be deleted next.
			return nil
		} else if err != nil {
			return err
		}
	}
	changes := p.compare(status, running)
	if len(changes) == 0 {
		return nil
	}
	err := p.patch(ctx, key, version, changes)
	if apierrors.IsConflict(err) {
		// Another writer was faster. The watch may lag behind.
		if status, version, err = p.get(ctx, key); err == nil {
			if changes = p.compare(status, running); len(changes) == 0 {
				return nil
			}
			err = p.patch(ctx, key, version, changes)
		}
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// compare returns the necessary changes: an entry, or nil for one that has to be removed.
func (p *Interfaces) compare(status *epicv1.ProxyStatus, running []proxies.Interface) map[string]*epicv1.ProxyInterfaceInfo {
	changes := map[string]*epicv1.ProxyInterfaceInfo{}
	here := map[string]bool{}
	for _, r := range running {
		here[r.Pod] = true
		want := epicv1.ProxyInterfaceInfo{
			EPICNodeAddress: p.node.String(),
			EPICPort:        epicv1.EndpointPort{Port: int32(p.port), Protocol: corev1.ProtocolUDP, AppProtocol: "gue"},
			Index:           int32(r.Index), Name: r.Name,
		}
		if has, ok := status.ProxyIfInfo[r.Pod]; !ok || has != want {
			changes[r.Pod] = &want
		}
	}
	for pod, has := range status.ProxyIfInfo {
		if a, err := netip.ParseAddr(has.EPICNodeAddress); err == nil && a.Unmap() == p.node && !here[pod] {
			changes[pod] = nil
		}
	}
	return changes
}

func (p *Interfaces) get(ctx context.Context, key intent.Key) (*epicv1.ProxyStatus, string, error) {
	if key.Kind == proxies.LoadBalancer {
		o, err := p.client.EpicV1().LoadBalancers(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		return &o.Status, o.ResourceVersion, err
	}
	o, err := p.client.EpicV1().GWProxies(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	return &o.Status, o.ResourceVersion, err
}

// patch writes entries, on the condition that nobody has written since: the pod of a
// removed entry might run elsewhere by now, under the same name.
func (p *Interfaces) patch(ctx context.Context, key intent.Key, version string, changes map[string]*epicv1.ProxyInterfaceInfo) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": version},
		"status":   map[string]any{"proxy-if-info": changes},
	})
	if err != nil {
		return err
	}
	if key.Kind == proxies.LoadBalancer {
		_, err = p.client.EpicV1().LoadBalancers(key.Namespace).Patch(ctx, key.Name, types.MergePatchType, body, metav1.PatchOptions{}, "status")
	} else {
		_, err = p.client.EpicV1().GWProxies(key.Namespace).Patch(ctx, key.Name, types.MergePatchType, body, metav1.PatchOptions{}, "status")
	}
	return err
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/events"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	"github.com/acnodal/epic/pkg/nodereports"
)

const (
	// DefaultNodeTimeout is how long a gateway node may be without a heartbeat before it
	// is evicted. A node that is restarted, repaired or temporarily disconnected from the
	// API keeps its tunnels.
	DefaultNodeTimeout = time.Hour
	// MinNodeTimeout is the minimum timeout: a node sends a heartbeat about once a
	// minute, and an eviction takes as many checks as confirmations.
	MinNodeTimeout = 5 * time.Minute

	// lookInterval is the interval at which gateway nodes are checked.
	lookInterval = time.Minute
	// confirmations is the number of consecutive checks that must find a node stale, with
	// the API server responding each time. While the server was unavailable, no node
	// could send a heartbeat, and none must be evicted for it; and a wrong clock must not
	// evict a running node.
	confirmations = 5
)

// gatewayNodes evicts gateway nodes that are stale for too long: the tunnel reconcilers
// remove the interfaces of the proxies that ran there, with their tunnels, and then
// gatewayNodes deletes the node's GatewayNode object, or its entry in the status of the
// EPIC object if the node is of an earlier release. It reads from the server, because a
// cache does not know its own age.
type gatewayNodes struct {
	client   versioned.Interface
	timeout  time.Duration
	interval time.Duration
	now      func() time.Time
	events   *events.Recorder
	// proxies holds the caches of load balancers and gateway proxies, and queues their
	// reconcilers, to which objects are added.
	proxies []cache.Indexer
	queues  []*reconciler

	mu   sync.Mutex
	seen map[netip.Addr]*sighting
}

// sighting is what is known of a gateway node that has reported.
type sighting struct {
	heartbeat metav1.Time
	// looks is the number of consecutive checks that found the same heartbeat.
	looks int
	lost  bool
	// alive indicates that the node was evicted and then wrote something else: only its
	// heartbeats do not arrive.
	alive bool
}

func newGatewayNodes(client versioned.Interface, timeout, interval time.Duration) *gatewayNodes {
	return &gatewayNodes{client: client, timeout: timeout, interval: interval, now: time.Now, seen: map[netip.Addr]*sighting{}}
}

// serve makes the reconciler of a kind use the evicted nodes.
func serve[T any](g *gatewayNodes, k *tunnelReconciler, informer cache.SharedIndexInformer, status func(T) *epicv1.ProxyStatus) {
	g.proxies, g.queues = append(g.proxies, informer.GetIndexer()), append(g.queues, k.reconciler)
	k.sources = append(k.sources, informed{informer, cache.ResourceEventHandlerFuncs{UpdateFunc: func(old, obj any) {
		before, ok := old.(T)
		now, ok2 := obj.(T)
		if ok && ok2 {
			g.wrote(status(before), status(now))
		}
	}}})
}

// lost reports whether a gateway node is evicted.
func (g *gatewayNodes) lost(node netip.Addr) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.seen[node]
	return s != nil && s.lost
}

// run checks the nodes until ctx ends.
func (g *gatewayNodes) run(ctx context.Context) {
	if g.timeout <= 0 {
		return
	}
	logger := klog.FromContext(ctx)
	ticker := time.NewTicker(g.interval)
	defer ticker.Stop()
	failing := false
	for {
		err := g.look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			// The counts so far are no longer valid.
			g.forget()
			if !failing {
				logger.Error(err, "Can't read the gateway nodes, trying again")
			}
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// forget resets the counts.
func (g *gatewayNodes) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.seen)
}

// look evicts nodes that have sent no heartbeat for too long, and readmits those that
// send one again.
func (g *gatewayNodes) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// The objects are read after this time, so they are never older.
	now := g.now()
	installation, err := g.client.EpicV1().EPICs(epic.ConfigNamespace).Get(ctx, epic.ConfigName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		installation, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("read the EPIC object: %w", err)
	}
	list, err := g.client.EpicV1().GatewayNodes(epic.ConfigNamespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the gateway nodes: %w", err)
	}
	objects := make([]*epicv1.GatewayNode, 0, len(list.Items))
	for i := range list.Items {
		objects = append(objects, &list.Items[i])
	}
	var entries []string
	if installation != nil {
		entries = nodereports.Replaced(installation, objects)
	}
	var removed []netip.Addr
	for _, node := range g.update(ctx, nodereports.Merge(installation, objects), now) {
		if g.hasProxies(node) {
			// The reconcilers remove these first. If this program is interrupted here, it
			// starts over.
			continue
		}
		gone, err := g.remove(ctx, objects, node)
		if err != nil {
			return err
		}
		if gone {
			removed = append(removed, node)
			if installation != nil {
				if _, ok := installation.Status.Nodes[node.String()]; ok {
					entries = append(entries, node.String())
				}
			}
		}
	}
	if len(entries) > 0 {
		if ok, err := g.removeEntries(ctx, installation, entries); !ok || err != nil {
			return err
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, node := range removed {
		nodesRemoved.Inc()
		if installation != nil {
			g.events.Record(kinds[epic.ResourceEPICs].kind, installation, events.Event{Warning: true, Reason: EventNodeEvicted, Message: fmt.Sprintf("Evicted the gateway node %s, which has sent no heartbeat for %s, and removed its proxies' tunnels", node, g.timeout)})
		}
		klog.FromContext(ctx).Info("Evicted a stale gateway node", "node", node)
		delete(g.seen, node)
	}
	return nil
}

// update records the latest reports of the nodes, and returns those that are evicted.
func (g *gatewayNodes) update(ctx context.Context, nodes map[string]epicv1.EPICNodeStatus, now time.Time) []netip.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	var lost []netip.Addr
	listed := map[netip.Addr]bool{}
	for text, said := range nodes {
		node, ok := address(text)
		if !ok {
			continue
		}
		listed[node] = true
		s := g.seen[node]
		if s == nil || !s.heartbeat.Equal(&said.HeartbeatTime) {
			s = &sighting{heartbeat: said.HeartbeatTime}
			g.seen[node] = s
		}
		s.looks++
		if now.Sub(said.HeartbeatTime.Time) <= g.timeout || s.looks < confirmations || s.alive {
			continue
		}
		if !s.lost {
			s.lost = true
			klog.FromContext(ctx).Info("Evicting a stale gateway node", "node", node, "name", said.Name, "heartbeat", said.HeartbeatTime)
		}
		lost = append(lost, node)
	}
	for node := range g.seen {
		if !listed[node] {
			delete(g.seen, node)
		}
	}
	return lost
}

// hasProxies reports whether any object lists proxies on a node, and enqueues these
// objects.
func (g *gatewayNodes) hasProxies(node netip.Addr) bool {
	has := false
	for i, proxies := range g.proxies {
		keys, err := proxies.IndexKeys(byGatewayNode, node.String())
		has = has || err != nil || len(keys) > 0
		for _, text := range keys {
			if key, err := cache.ParseObjectName(text); err == nil {
				g.queues[i].add(key)
			}
		}
	}
	return has
}

// remove deletes the object of a node, unless somebody, possibly the node itself, wrote
// it since it was read. It returns true if the node no longer has an object.
func (g *gatewayNodes) remove(ctx context.Context, objects []*epicv1.GatewayNode, node netip.Addr) (bool, error) {
	name := epic.GatewayNodeName(node)
	for _, o := range objects {
		if o.Name != name {
			continue
		}
		err := g.client.EpicV1().GatewayNodes(o.Namespace).Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &o.UID, ResourceVersion: &o.ResourceVersion}})
		switch {
		case apierrors.IsConflict(err):
			return false, nil
		case err != nil && !apierrors.IsNotFound(err):
			return false, fmt.Errorf("delete the object of gateway node %s: %w", node, err)
		}
	}
	return true, nil
}

// removeEntries removes entries of the EPIC object, unless somebody wrote the object
// since it was read. It reports whether it did.
func (g *gatewayNodes) removeEntries(ctx context.Context, installation *epicv1.EPIC, addresses []string) (bool, error) {
	entries := map[string]any{}
	for _, address := range addresses {
		entries[address] = nil
	}
	data, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": installation.UID, "resourceVersion": installation.ResourceVersion},
		"status":   map[string]any{"nodes": entries},
	})
	if err != nil {
		return false, fmt.Errorf("encode a patch: %w", err)
	}
	_, err = g.client.EpicV1().EPICs(installation.Namespace).Patch(ctx, installation.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager}, "status")
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("remove the gateway nodes %v from the EPIC object: %w", addresses, err)
	}
	return true, nil
}

// heard readmits an evicted node as soon as the cache shows a heartbeat.
func (g *gatewayNodes) heard(reports map[string]epicv1.EPICNodeStatus) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for text, said := range reports {
		if node, ok := address(text); ok {
			if s := g.seen[node]; s != nil && s.lost && s.heartbeat.Before(&said.HeartbeatTime) {
				g.seen[node] = &sighting{heartbeat: said.HeartbeatTime}
			}
		}
	}
}

// wrote readmits an evicted node that writes an interface again: it runs, although its
// heartbeats do not arrive. Otherwise, the controller and the node would undo each
// other's changes forever.
func (g *gatewayNodes) wrote(old, status *epicv1.ProxyStatus) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for pod, info := range status.ProxyIfInfo {
		if old.ProxyIfInfo[pod] == info {
			continue
		}
		if node, ok := address(info.EPICNodeAddress); ok {
			if s := g.seen[node]; s != nil && s.lost {
				s.lost, s.alive = false, true
			}
		}
	}
}

// sources returns the sources for the caches of the EPIC object and of gateway nodes,
// which show heartbeats.
func (g *gatewayNodes) sources(epics, nodes cache.SharedIndexInformer) (all []informed) {
	heard := func(obj any) {
		switch o := obj.(type) {
		case *epicv1.EPIC:
			g.heard(o.Status.Nodes)
		case *epicv1.GatewayNode:
			g.heard(nodereports.Merge(nil, []*epicv1.GatewayNode{o}))
		}
	}
	for _, informer := range []cache.SharedIndexInformer{epics, nodes} {
		all = append(all, informed{informer, cache.ResourceEventHandlerFuncs{AddFunc: heard, UpdateFunc: func(_, obj any) { heard(obj) }}})
	}
	return all
}

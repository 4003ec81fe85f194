// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
	typedv1 "github.com/acnodal/epic/pkg/generated/clientset/versioned/typed/epic/v1"
)

const (
	// Interval is the interval of heartbeats while nothing changes.
	Interval = time.Minute
	retry    = 5 * time.Second
	// tunnelLook is the interval at which the state of tunnels is compared with the last
	// report, and look that for the rest of the node's state. Comparing many tunnels
	// takes long, so it is limited to a share of the time.
	tunnelLook, tunnelShare = 200 * time.Millisecond, 20
	look, lookShare         = time.Second, 50
	// A change of tunnels is sent immediately, up to tunnelBurst changes in a row; after
	// that, changes within tunnelEvery are sent together.
	tunnelEvery = time.Second
	tunnelBurst = 4
	// A change of the rest is sent immediately. After the first few, changes within
	// changeEvery are sent together.
	changeEvery = 10 * time.Second
	changeBurst = 4
)

// Reporter provides the state of a node.
type Reporter interface {
	// Resume is called once, before everything else, with the node's report from before
	// it started, or with an empty status.
	Resume(epicv1.GatewayNodeStatus)
	// Status returns the node's report without its tunnels.
	Status() epicv1.GatewayNodeStatus
	// Look updates the state of tunnels, and returns a number that changes when the
	// report on them does.
	Look() uint64
	// Tunnels adds the report on tunnels to a status.
	Tunnels(*epicv1.GatewayNodeStatus)
}

// Heartbeat sends a node's reports: regularly, and when the node's state changes.
type Heartbeat struct {
	client typedv1.GatewayNodeInterface
	node   netip.Addr
	from   Reporter
	// changes and tunnels limit the heartbeats triggered by changes.
	changes, tunnels *rate.Limiter

	mu  sync.Mutex
	err error
}

// NewHeartbeat returns a Heartbeat for the node with an address.
func NewHeartbeat(client versioned.Interface, node netip.Addr, from Reporter) *Heartbeat {
	return &Heartbeat{
		client: client.EpicV1().GatewayNodes(epic.ConfigNamespace), node: node, from: from,
		changes: rate.NewLimiter(rate.Every(changeEvery), changeBurst), tunnels: rate.NewLimiter(rate.Every(tunnelEvery), tunnelBurst),
	}
}

// Err returns the error of the last heartbeat, or nil if it succeeded.
func (h *Heartbeat) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// note records the result of a request, and logs the first of several failures.
func (h *Heartbeat) note(ctx context.Context, err error) {
	h.mu.Lock()
	news := err != nil && h.err == nil
	h.err = err
	h.mu.Unlock()
	if news && ctx.Err() == nil {
		klog.FromContext(ctx).Info("Cannot write the heartbeat, trying again", "err", err)
	}
}

// Run sends heartbeats until the context ends. Nodes do not synchronize.
func (h *Heartbeat) Run(ctx context.Context) {
	if !h.resume(ctx) {
		return
	}
	for {
		version := h.from.Look()
		sent := h.from.Status()
		err := h.beat(ctx, sent)
		h.note(ctx, err)
		if ctx.Err() != nil {
			return
		}
		pause := Interval
		if err != nil {
			pause = retry
		}
		if !h.wait(ctx, spread(pause), sent, version, err != nil) {
			return
		}
	}
}

// spread shortens a pause randomly, so nodes do not synchronize.
func spread(pause time.Duration) time.Duration {
	return pause - time.Duration(rand.Int64N(int64(pause/5))) //nolint:gosec // spreads the load
}

// resume reads the node's report from before it started. It returns false if the context
// ends first.
func (h *Heartbeat) resume(ctx context.Context) bool {
	for {
		before, err := h.read(ctx)
		if err == nil {
			h.from.Resume(before)
			return true
		}
		h.note(ctx, err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(spread(retry)):
		}
	}
}

func (h *Heartbeat) read(ctx context.Context) (epicv1.GatewayNodeStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	node, err := h.client.Get(ctx, epic.GatewayNodeName(h.node), metav1.GetOptions{})
	if isMissing(err) {
		return epicv1.GatewayNodeStatus{}, nil
	}
	if err != nil {
		return epicv1.GatewayNodeStatus{}, explain(err)
	}
	return node.Status, nil
}

// wait waits until the next heartbeat is due: after the pause, or when the state differs
// from the last one sent. It returns false when the context ends.
func (h *Heartbeat) wait(ctx context.Context, pause time.Duration, sent epicv1.GatewayNodeStatus, version uint64, failed bool) bool {
	due := time.NewTimer(pause)
	defer due.Stop()
	tunnels, rest := time.NewTimer(tunnelLook), time.NewTimer(look)
	defer tunnels.Stop()
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-due.C:
			return true
		case <-tunnels.C:
			began := time.Now()
			now := h.from.Look()
			tunnels.Reset(max(tunnelLook, time.Since(began)*tunnelShare))
			if now != version && !failed && h.tunnels.Allow() {
				return true
			}
		case <-rest.C:
			began := time.Now()
			now := h.from.Status()
			rest.Reset(max(look, time.Since(began)*lookShare))
			if !sameState(sent, now) && h.changes.Allow() {
				return true
			}
		}
	}
}

// sameState compares everything except times.
func sameState(a, b epicv1.GatewayNodeStatus) bool {
	timeless := func(s epicv1.GatewayNodeStatus) epicv1.GatewayNodeStatus {
		s.HeartbeatTime = metav1.Time{}
		s.Conditions = slices.Clone(s.Conditions)
		for i := range s.Conditions {
			s.Conditions[i].LastTransitionTime = metav1.Time{}
		}
		return s
	}
	return equality.Semantic.DeepEqual(timeless(a), timeless(b))
}

// beat writes the status of this node's object, and creates it if it does not exist:
// initially, and after somebody deleted it.
func (h *Heartbeat) beat(ctx context.Context, s epicv1.GatewayNodeStatus) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	h.from.Tunnels(&s)
	s.HeartbeatTime = metav1.Now()
	node := &epicv1.GatewayNode{
		ObjectMeta: metav1.ObjectMeta{Namespace: epic.ConfigNamespace, Name: epic.GatewayNodeName(h.node)},
		Spec:       epicv1.GatewayNodeSpec{Address: h.node.String()}, Status: s,
	}
	// Without a resourceVersion, the write is unconditional: nobody else writes this
	// status.
	_, err := h.client.UpdateStatus(ctx, node, metav1.UpdateOptions{})
	if !isMissing(err) {
		return explain(err)
	}
	_, err = h.client.Create(ctx, &epicv1.GatewayNode{ObjectMeta: node.ObjectMeta, Spec: node.Spec}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return explain(err)
	}
	_, err = h.client.UpdateStatus(ctx, node, metav1.UpdateOptions{})
	return explain(err)
}

// isMissing reports whether a server supports gateway nodes but does not have this one.
func isMissing(err error) bool { return apierrors.IsNotFound(err) && !isOld(err) }

// isOld reports whether a server does not support gateway nodes: then another API
// responds.
func isOld(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
}

// explain adds a suggested fix to an error.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case isOld(err):
		return fmt.Errorf("write the report of this node: the API server is of an earlier release, which has no GatewayNode objects: upgrade it first: %w", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("write the report of this node: apply the roles of this release: %w", err)
	}
	return fmt.Errorf("write the report of this node: %w", err)
}

// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

const (
	// Interval is how often a node sends a heartbeat while nothing changes.
	Interval = time.Minute
	retry    = 5 * time.Second
	// look is how often the node's state is compared with what was sent last. A look
	// at many tunnels takes long, so it is never more than a share of the time.
	look      = time.Second
	lookShare = 50
	// A change is sent at once. Of many changes one in changeEvery is, after the first
	// few.
	changeEvery = 10 * time.Second
	changeBurst = 4
)

// Heartbeat sends heartbeats: regularly, and when the node's state changes.
type Heartbeat struct {
	client versioned.Interface
	node   netip.Addr
	status func() epicv1.EPICNodeStatus
	// changes bounds the heartbeats that changes cause.
	changes *rate.Limiter

	mu  sync.Mutex
	err error
}

// NewHeartbeat returns one for a node, whose status it asks for each time.
func NewHeartbeat(client versioned.Interface, node netip.Addr, status func() epicv1.EPICNodeStatus) *Heartbeat {
	return &Heartbeat{client: client, node: node, status: status, changes: rate.NewLimiter(rate.Every(changeEvery), changeBurst)}
}

// Err returns why the last heartbeat did not arrive, nil if it did.
func (h *Heartbeat) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Run sends heartbeats until the context ends. Nodes do not stay in step.
func (h *Heartbeat) Run(ctx context.Context) {
	for {
		sent := h.status()
		err := h.beat(ctx, sent)
		h.mu.Lock()
		news := err != nil && h.err == nil
		h.err = err
		h.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		pause := Interval
		if err != nil {
			pause = retry
		}
		if news {
			klog.FromContext(ctx).Info("Cannot write the heartbeat, trying again", "err", err)
		}
		pause -= time.Duration(rand.Int64N(int64(pause / 5))) //nolint:gosec // spreads the load
		if !h.wait(ctx, pause, sent) {
			return
		}
	}
}

// wait waits until the next heartbeat is due: when the pause is over, or when the
// state is not what was sent. It returns false when the context ends.
func (h *Heartbeat) wait(ctx context.Context, pause time.Duration, sent epicv1.EPICNodeStatus) bool {
	due := time.NewTimer(pause)
	defer due.Stop()
	next := time.NewTimer(look)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-due.C:
			return true
		case <-next.C:
		}
		began := time.Now()
		now := h.status()
		next.Reset(max(look, time.Since(began)*lookShare))
		if !sameState(sent, now) && h.changes.Allow() {
			return true
		}
	}
}

// sameState compares all but times.
func sameState(a, b epicv1.EPICNodeStatus) bool {
	timeless := func(s epicv1.EPICNodeStatus) epicv1.EPICNodeStatus {
		s.HeartbeatTime = metav1.Time{}
		s.Conditions = slices.Clone(s.Conditions)
		for i := range s.Conditions {
			s.Conditions[i].LastTransitionTime = metav1.Time{}
		}
		return s
	}
	return equality.Semantic.DeepEqual(timeless(a), timeless(b))
}

func (h *Heartbeat) beat(ctx context.Context, s epicv1.EPICNodeStatus) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.HeartbeatTime = metav1.Now()
	body, err := json.Marshal(map[string]any{"status": map[string]any{"nodes": map[string]epicv1.EPICNodeStatus{h.node.String(): s}}})
	if err != nil {
		return err
	}
	_, err = h.client.EpicV1().EPICs(epic.ConfigNamespace).Patch(ctx, epic.ConfigName, types.MergePatchType, body, metav1.PatchOptions{}, "status")
	return err
}

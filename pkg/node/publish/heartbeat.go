// SPDX-License-Identifier: Apache-2.0

package publish

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/apis/epic"
	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
	"github.com/acnodal/epic/pkg/generated/clientset/versioned"
)

const (
	// Interval is how often a node gives a sign of life.
	Interval = time.Minute
	retry    = 5 * time.Second
)

// Heartbeat gives signs of life.
type Heartbeat struct {
	client versioned.Interface
	node   netip.Addr
	status func() epicv1.EPICNodeStatus

	mu  sync.Mutex
	err error
}

// NewHeartbeat returns one for a node, whose status it asks for each time.
func NewHeartbeat(client versioned.Interface, node netip.Addr, status func() epicv1.EPICNodeStatus) *Heartbeat {
	return &Heartbeat{client: client, node: node, status: status}
}

// Err returns why the last sign did not arrive, nil if it did.
func (h *Heartbeat) Err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// Run gives signs until the context ends. Nodes do not stay in step.
func (h *Heartbeat) Run(ctx context.Context) {
	for {
		err := h.beat(ctx)
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
			klog.FromContext(ctx).Info("The sign of life can't be written, trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause - time.Duration(rand.Int64N(int64(pause/5)))): //nolint:gosec // spreads the load
		}
	}
}

func (h *Heartbeat) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s := h.status()
	s.HeartbeatTime = metav1.Now()
	body, err := json.Marshal(map[string]any{"status": map[string]any{"nodes": map[string]epicv1.EPICNodeStatus{h.node.String(): s}}})
	if err != nil {
		return err
	}
	_, err = h.client.EpicV1().EPICs(epic.ConfigNamespace).Patch(ctx, epic.ConfigName, types.MergePatchType, body, metav1.PatchOptions{}, "status")
	return err
}

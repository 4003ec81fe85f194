// SPDX-License-Identifier: Apache-2.0

package tunnelkey

import (
	"context"
	"fmt"
	"os"
	"time"

	"k8s.io/klog/v2"

	"github.com/acnodal/epic/pkg/privatefile"
)

const (
	// rotationInterval is the interval at which the age of the keys is checked. The first
	// check is one interval after the start, when nodes have fetched the current keys.
	rotationInterval = time.Hour
	// stepInterval is the minimum time between two steps of a rotation. Nodes fetch their
	// keys every few minutes; the rest is for nodes that can't reach the API in that
	// time.
	stepInterval = 24 * time.Hour
	// MinRotation is the minimum age at which a key is replaced: before that, the
	// previous replacement has not ended.
	MinRotation = 3 * stepInterval
)

// Rotate replaces the master key in the file by a new one when it reaches an age, step by
// step, until ctx ends. The file must belong to this program. The age of its keys is the
// time since its last change.
func (f *File) Rotate(ctx context.Context, age time.Duration) {
	ticker := time.NewTicker(rotationInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if err := f.step(ctx, age, now); err != nil {
				klog.FromContext(ctx).Error(err, "The master keys of tunnels are not rotated")
			}
		}
	}
}

// step performs the next step of a rotation if it is due.
func (f *File) step(ctx context.Context, age time.Duration, now time.Time) error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	text, err := f.read()
	if err != nil {
		return err
	}
	keys, err := Parse(text)
	clear(text)
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	state, err := keys.Rotation()
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if now.Sub(info.ModTime()) < state.Wait(stepInterval, age) {
		return nil
	}
	if keys, err = keys.Rotate(); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	if err := privatefile.Write(f.path, keys.Text()); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("Took a step in the rotation of the master keys of tunnels", "file", f.path, "ids", keys.IDs())
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"testing"

	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller"
)

// work runs the controller of a kind with one worker until ctx ends.
func work(ctx context.Context, t *testing.T, r *reconciler) (ended <-chan struct{}) {
	t.Helper()
	options := r.options(1, klog.FromContext(ctx))
	options.SkipNameValidation = ptr.To(true)
	c, err := controller.NewTypedUnmanaged(r.name, options)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Start(ctx); err != nil {
			t.Error(err)
		}
	}()
	return done
}

// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	epicv1 "github.com/acnodal/epic/pkg/apis/epic/v1"
)

func TestPacerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newPacer(), newReconciler("test-pacer")
		ctx, cancel := context.WithCancel(t.Context())
		go p.run(ctx)
		for i := range 3 * smallBudgets {
			p.add(l, itself(&epicv1.LoadBalancer{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprint(i)}})[0])
			time.Sleep(time.Second / 10)
		}
		if n := len(p.budgets); n > 2*smallBudgets {
			t.Errorf("%d budgets are kept", n)
		}
		cancel()
		l.queue.ShutDown()
		synctest.Wait()
	})
}

// lateContext is a context whose AfterFunc functions have not begun when its end is seen.
type lateContext struct{ context.Context }

func (lateContext) AfterFunc(func()) (stop func() bool) { return func() bool { return true } }

// Value hides the context inside, whose functions begin at once.
func (lateContext) Value(any) any { return nil }

// A pacer that ends while it waits for its turn leaves nothing running.
func TestPacerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := newPacer(), newReconciler("test-pacer")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { p.run(lateContext{ctx}); close(ended) }()
		for i := range 2 * signalBurst {
			p.add(l, cache.NewObjectName("ns", fmt.Sprint(i)))
		}
		synctest.Wait()
		cancel()
		<-ended
		if !p.queue.ShuttingDown() {
			t.Error("its queue still runs")
			p.queue.ShutDown()
		}
		l.queue.ShutDown()
	})
}

// SPDX-License-Identifier: Apache-2.0

package pulse

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tick, kick := make(chan time.Time, 1), make(chan struct{}, 1)
		tick <- time.Now()
		if got := Next(ctx, tick, kick, time.Second); got != Tick {
			t.Errorf("with a tick: %d, want %d", got, Tick)
		}
		kick <- struct{}{}
		begin := time.Now()
		if got := Next(ctx, tick, kick, time.Second); got != Kick || time.Since(begin) != time.Second {
			t.Errorf("with a kick: %d after %s, want %d after a second", got, time.Since(begin), Kick)
		}
		kick <- struct{}{}
		time.AfterFunc(time.Millisecond, cancel)
		if got := Next(ctx, tick, kick, time.Second); got != Ended {
			t.Errorf("when the context ends while changes settle: %d, want %d", got, Ended)
		}
		if got := Next(ctx, tick, kick, time.Second); got != Ended {
			t.Errorf("after the context has ended: %d, want %d", got, Ended)
		}
	})
}

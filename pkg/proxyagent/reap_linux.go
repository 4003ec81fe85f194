// SPDX-License-Identifier: Apache-2.0

package proxyagent

import (
	"context"
	"os"
	"os/signal"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap collects ended processes without a parent, which are assigned to process 1. It
// leaves Envoy to the goroutine that waits for it.
func reap(ctx context.Context, envoy func() int) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	defer signal.Stop(ended)
	// Envoy's own end can briefly hide that of another process.
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ended:
		case <-tick.C:
		}
		for {
			pid := peek()
			if pid == 0 || pid == envoy() {
				break
			}
			if _, err := unix.Wait4(pid, nil, unix.WNOHANG, nil); err != nil {
				break
			}
		}
	}
}

// childInfo is the part of siginfo_t about a child.
type childInfo struct {
	signo, errno, code, _ int32
	pid                   int32
	_                     [128 - 20]byte
}

// peek returns the process ID of a child that has ended, without collecting it, or 0.
func peek() int {
	var info childInfo
	if err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)), unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil { //nolint:gosec // the kernel fills it
		return 0
	}
	return int(info.pid)
}

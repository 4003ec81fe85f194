// SPDX-License-Identifier: Apache-2.0

// Package ownthread runs functions that change their thread, such as its network namespace.
package ownthread

import "runtime"

// Run runs f on a thread of its own and returns its error. The thread ends with f, so the
// process never runs anything else in the state in which f leaves it.
func Run(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the runtime ends a thread whose goroutine ends with it locked.
		runtime.LockOSThread()
		err = f()
	}()
	<-done
	return err
}

// SPDX-License-Identifier: Apache-2.0

// Package ownthread runs functions that change their thread, such as its network namespace.
package ownthread

import "runtime"

// Run runs f on its own thread and returns its error. The thread ends with f, so the
// process never runs anything else in the state that f leaves.
func Run(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Do not unlock it: the runtime ends a thread whose goroutine ends while locked
		// to it.
		runtime.LockOSThread()
		err = f()
	}()
	<-done
	return err
}

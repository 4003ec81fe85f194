// SPDX-License-Identifier: Apache-2.0

package ownthread

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestRun checks that the thread ends with the function.
func TestRun(t *testing.T) {
	failed := errors.New("failed")
	for range 10 {
		thread := 0
		if err := Run(func() error { thread = unix.Gettid(); return failed }); !errors.Is(err, failed) {
			t.Fatalf("got %v", err)
		}
		if thread == os.Getpid() {
			continue // The runtime parks a process's first thread permanently.
		}
		deadline := time.Now().Add(10 * time.Second)
		for {
			if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread)); os.IsNotExist(err) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the thread goes on without the function")
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// A function that ends its goroutine, as t.FailNow does, does not block the caller.
func TestGoexit(t *testing.T) {
	if err := Run(func() error { runtime.Goexit(); return nil }); err != nil {
		t.Error(err)
	}
}

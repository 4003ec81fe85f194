// SPDX-License-Identifier: Apache-2.0

// Package proxiestest contains helpers for tests of proxies.Source implementations.
package proxiestest

import (
	"context"
	"testing"
	"time"

	"github.com/acnodal/epic/pkg/node/proxies"
)

// Follow runs a source and returns a channel with its lists.
func Follow(t *testing.T, s proxies.Source) <-chan []proxies.Interface {
	t.Helper()
	lists := make(chan []proxies.Interface, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx, func() { lists <- s.List() }); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return lists
}

// Until waits for a list with the wanted content.
func Until(t *testing.T, what string, lists <-chan []proxies.Interface, want func([]proxies.Interface) bool) {
	t.Helper()
	timeout := time.After(5 * time.Second)
	var last []proxies.Interface
	for {
		select {
		case last = <-lists:
			if want(last) {
				return
			}
		case <-timeout:
			t.Fatalf("%s: not seen; the last list is %+v", what, last)
		}
	}
}

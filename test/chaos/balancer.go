// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/acnodal/epic/test/tools/wire"
)

// balancer spreads connections over the API servers that are ready, as a load balancer before them
// does. It ends no connection of a server that no longer is.
type balancer struct {
	addresses []string
	ready     []atomic.Bool
	next      atomic.Uint32
}

func newBalancer(addresses []string) *balancer {
	return &balancer{addresses: addresses, ready: make([]atomic.Bool, len(addresses))}
}

// watch sends requests to the servers until the context ends.
func (b *balancer) watch(ctx context.Context) {
	client := &http.Client{
		Timeout: 2 * time.Second,
		// Who the server is, its clients verify.
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, //nolint:gosec // see above
	}
	for i, address := range b.addresses {
		go func() {
			for ctx.Err() == nil {
				b.ready[i].Store(answersReady(ctx, client, address))
				pause(ctx, time.Second)
			}
		}()
	}
}

func answersReady(ctx context.Context, client *http.Client, address string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/readyz", nil)
	if err != nil {
		return false
	}
	answer, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// dial connects to a server that is ready, in turn, or to any if none is.
func (b *balancer) dial(ctx context.Context) (net.Conn, error) {
	n, start := uint32(len(b.addresses)), b.next.Add(1)
	for _, mustBeReady := range []bool{true, false} {
		for i := range n {
			which := (start + i) % n
			if mustBeReady && !b.ready[which].Load() {
				continue
			}
			if conn, err := wire.To(b.addresses[which])(ctx); err == nil {
				return conn, nil
			}
		}
	}
	return nil, errNobody
}

var errNobody = errors.New("no server answers")

// pause waits, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

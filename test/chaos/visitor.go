// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/acnodal/epic/test/netlab"
)

const (
	// patience is how long a visitor waits for a response.
	patience = 10 * time.Second
	// mostOpen bounds the requests under way.
	mostOpen = 400
)

// datagramWaits is how long a visitor waits for a response before it resends a datagram.
var datagramWaits = []time.Duration{1500 * time.Millisecond, 2500 * time.Millisecond, 4 * time.Second}

// visitors send requests to what the oracle expects.
type visitors struct {
	host   *netlab.Namespace
	oracle *oracle
	rate   float64
	rng    *rand.Rand
	sent   atomic.Int64
	// skipped counts requests that were not sent, since too many were under way.
	skipped atomic.Int64
	slow    sync.Mutex
	slowest time.Duration
}

// run sends requests until the context ends, and returns when all are answered.
func (v *visitors) run(ctx context.Context) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: v.host.Dial, DisableKeepAlives: true}}
	var open sync.WaitGroup
	places := make(chan struct{}, mostOpen)
	ticker := time.NewTicker(time.Duration(float64(time.Second) / v.rate))
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			targets := v.oracle.all(time.Now())
			if len(targets) == 0 {
				continue
			}
			t := targets[v.rng.IntN(len(targets))]
			body := make([]byte, 16+v.rng.IntN(1000))
			if t.via != byUDP && v.rng.IntN(10) == 0 {
				body = make([]byte, 200_000)
			}
			for i := range body {
				body[i] = byte(v.rng.Uint32())
			}
			select {
			case places <- struct{}{}:
			default:
				v.skipped.Add(1)
				continue
			}
			open.Go(func() {
				defer func() { <-places }()
				v.sent.Add(1)
				// A request in progress gets its response even if the run ends first.
				v.ask(context.WithoutCancel(ctx), client, t, body)
			})
		}
	}
	open.Wait()
}

// ask sends one request and has the oracle judge the response.
func (v *visitors) ask(ctx context.Context, client *http.Client, t *target, body []byte) {
	began := time.Now()
	var name string
	var intact bool
	var err error
	if t.via == byUDP {
		name, intact, err = v.datagram(ctx, t, body)
	} else {
		name, intact, err = request(ctx, client, t, body)
	}
	ended := time.Now()
	if err != nil {
		v.oracle.failure(t, err.Error(), began, ended)
		return
	}
	v.oracle.answer(t, name, intact, began, ended)
	v.slow.Lock()
	v.slowest = max(v.slowest, ended.Sub(began))
	v.slow.Unlock()
}

func request(ctx context.Context, client *http.Client, t *target, body []byte) (name string, intact bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+t.address+t.path, bytes.NewReader(body))
	if err != nil {
		return "", false, err
	}
	if t.host != "" {
		r.Host = t.host
	}
	nonce := hex.EncodeToString(body[:8])
	r.Header.Set(nonceHeader, nonce)
	answer, err := client.Do(r)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = answer.Body.Close() }()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", false, fmt.Errorf("%s, then %w", answer.Status, err)
	}
	if answer.StatusCode != http.StatusOK || answer.Header.Get(nameHeader) == "" {
		return "", false, fmt.Errorf("%s: %.100q", answer.Status, got)
	}
	intact = bytes.Equal(got, body) && answer.Header.Get(nonceHeader) == nonce && answer.Header.Get(pathHeader) == t.path
	return answer.Header.Get(nameHeader), intact, nil
}

func (v *visitors) datagram(ctx context.Context, t *target, body []byte) (name string, intact bool, err error) {
	conn, err := v.host.Dial(ctx, "udp", t.address)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = conn.Close() }()
	buffer := make([]byte, 1<<16)
	for _, wait := range datagramWaits {
		if _, err := conn.Write(body); err != nil {
			return "", false, err
		}
		if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return "", false, err
		}
		n, err := conn.Read(buffer)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			continue
		}
		if err != nil {
			return "", false, err
		}
		return readEcho(buffer[:n], body)
	}
	return "", false, fmt.Errorf("no answer to %d datagrams", len(datagramWaits))
}

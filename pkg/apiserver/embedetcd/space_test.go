// SPDX-License-Identifier: Apache-2.0

package embedetcd

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	smallQuota = 16 << 20
	// large is the size of a value that fillUp writes.
	large = 1 << 18
)

func startSmall(t *testing.T, dir string, quota int64) (*Server, *clientv3.Client) {
	t.Helper()
	s, err := Start(t.Context(), Config{DataDir: dir, QuotaBytes: quota, UnsafeNoFsync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s, connect(t, s.Endpoint())
}

// fillUp writes a quarter of a MiB at a time to the keys that key names, until etcd is
// full. It returns how many it wrote.
func fillUp(t *testing.T, client *clientv3.Client, key func(n int) string) int {
	t.Helper()
	value := string(make([]byte, large))
	for n := range 400 {
		_, err := client.Put(t.Context(), key(n), value)
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("100 MiB fit into the quota")
	return 0
}

// takesWrites waits until a put succeeds.
func takesWrites(t *testing.T, client *clientv3.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		_, err := client.Put(ctx, "/small", "x")
		if err == nil {
			return
		}
		if !errors.Is(err, rpctypes.ErrNoSpace) {
			t.Fatal(err)
		}
		select {
		case <-ctx.Done():
			t.Fatal("etcd stays full")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func one(int) string { return "/large" }

func TestFullOfHistory(t *testing.T) {
	s, client := startSmall(t, tempDir(t), smallQuota)
	for range 2 {
		fillUp(t, client, one)
		if err := s.Healthy(); err != nil {
			t.Errorf("a full member answers reads and takes deletions, and yet: %v", err)
		}
		takesWrites(t, client)
	}
}

func TestFullOfData(t *testing.T) {
	dir := tempDir(t)
	s, client := startSmall(t, dir, smallQuota)
	n := 0
	many := func(int) string {
		n++
		return fmt.Sprint("/large", n)
	}
	// As long as it is full of free pages, it makes room by itself.
	for {
		fillUp(t, client, many)
		n-- // The last one was refused.
		s.tick(t, 2)
		if _, err := client.Put(t.Context(), "/small", "x"); errors.Is(err, rpctypes.ErrNoSpace) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	// Sizes are looked at between batches of writes, so more than the quota may be
	// there.
	const kept = smallQuota / 2 / large
	for i := range n - kept {
		if _, err := client.Delete(t.Context(), fmt.Sprint("/large", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	takesWrites(t, client)
	// The keys that are left can be read.
	got, err := client.Get(t.Context(), "/large", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil || int(got.Count) != kept {
		t.Errorf("%v, %v, want %d", got, err, kept)
	}
	fillUp(t, client, many)
	s.Stop()
	_, client = startSmall(t, dir, 4*smallQuota)
	takesWrites(t, client)
}

// tick waits until the member has looked that often whether it is full.
func (s *Server) tick(t *testing.T, n int) {
	t.Helper()
	select {
	case <-t.Context().Done():
	case <-time.After(time.Duration(n) * spaceInterval):
	}
}

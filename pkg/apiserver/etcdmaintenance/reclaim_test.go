// SPDX-License-Identifier: Apache-2.0

package etcdmaintenance

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/acnodal/epic/test/tools/freeport"
)

const quota = 16 << 20

// startCluster runs an etcd of n members with a small quota.
func startCluster(t *testing.T, n int) *clientv3.Client {
	t.Helper()
	client, _ := startMembers(t, n)
	return client
}

// startMembers is startCluster for tests that stop members, which the functions do, by endpoint.
func startMembers(t *testing.T, n int) (*clientv3.Client, map[string]func()) {
	t.Helper()
	dir, err := os.MkdirTemp("", "etcd") //nolint:usetesting // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := func(i int) url.URL {
		return url.URL{Scheme: "unix", Path: filepath.Join(dir, fmt.Sprint("client", i))}
	}
	var cluster, endpoints []string
	var peers []url.URL
	for i := range n {
		peer, client := url.URL{Scheme: "http", Host: freeport.Address(t)}, socket(i)
		peers = append(peers, peer)
		cluster = append(cluster, fmt.Sprintf("m%d=%s", i, peer.String()))
		endpoints = append(endpoints, client.String())
	}
	var members []*embed.Etcd
	stops := map[string]func(){}
	for i := range n {
		cfg := embed.NewConfig()
		cfg.Name, cfg.Dir = fmt.Sprint("m", i), filepath.Join(dir, fmt.Sprint("data", i))
		cfg.UnsafeNoFsync = true
		cfg.QuotaBackendBytes = quota
		cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop().WithOptions(zap.IncreaseLevel(zapcore.ErrorLevel)))
		cfg.ListenClientUrls = []url.URL{socket(i)}
		cfg.AdvertiseClientUrls = cfg.ListenClientUrls
		cfg.ListenPeerUrls = []url.URL{peers[i]}
		cfg.AdvertisePeerUrls = cfg.ListenPeerUrls
		cfg.InitialCluster = strings.Join(cluster, ",")
		e, err := embed.StartEtcd(cfg)
		if err != nil {
			t.Fatal(err)
		}
		stop := sync.OnceFunc(e.Close)
		t.Cleanup(stop)
		stops[endpoints[i]] = stop
		members = append(members, e)
	}
	for _, e := range members {
		select {
		case <-e.Server.ReadyNotify():
		case <-time.After(time.Minute):
			t.Fatal("etcd does not get ready")
		}
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client, stops
}

func fill(t *testing.T, client *clientv3.Client, key func(int) string) int {
	t.Helper()
	value := string(make([]byte, 1<<20))
	for n := range 100 {
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

func run(t *testing.T, client *clientv3.Client) (*Report, error) {
	t.Helper()
	told := 0
	report, err := Run(t.Context(), client, Options{}, func(Member) { told++ })
	if report != nil && told != len(report.Members) {
		t.Errorf("%d members were reported while it ran, %d at the end", told, len(report.Members))
	}
	return report, err
}

func TestRun(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			client := startCluster(t, n)
			fill(t, client, func(int) string { return "/large" })
			report, err := run(t, client)
			if err != nil || !report.Disarmed || len(report.Members) != n {
				t.Fatalf("got %+v, %v", report, err)
			}
			for _, m := range report.Members {
				if m.After*2 > m.Before || m.Quota != quota {
					t.Errorf("got %+v", m)
				}
			}
			last, err := client.Status(t.Context(), report.Members[n-1].Endpoint)
			if err != nil {
				t.Fatal(err)
			}
			if n > 1 && last.Leader != last.Header.MemberId {
				t.Log("the leader changed, or was not the last")
			}
			if _, err := client.Put(t.Context(), "/small", "x"); err != nil {
				t.Error(err)
			}
			// A healthy etcd can have it too.
			if report, err := run(t, client); err != nil || report.Disarmed {
				t.Errorf("got %+v, %v", report, err)
			}
		})
	}
}

func TestRunOnFullData(t *testing.T) {
	client := startCluster(t, 1)
	n := fill(t, client, func(n int) string { return fmt.Sprint("/large", n) })
	if _, err := run(t, client); err == nil {
		// The last write may have failed for less room than a small one needs.
		fill(t, client, func(n int) string { return fmt.Sprint("/more", n) })
	} else if !strings.Contains(err.Error(), "delete objects") {
		t.Errorf("got %v", err)
	}
	for i := range n {
		if _, err := client.Delete(t.Context(), fmt.Sprint("/large", i)); err != nil {
			t.Fatal(err)
		}
	}
	if report, err := run(t, client); err != nil || !report.Disarmed {
		t.Errorf("got %+v, %v", report, err)
	}
}

func TestRunWantsAllMembers(t *testing.T) {
	client := startCluster(t, 3)
	all := client.Endpoints()
	client.SetEndpoints(all[0], all[0], all[1])
	if _, err := run(t, client); err == nil || !strings.Contains(err.Error(), "m2 (") {
		t.Errorf("got %v", err)
	}
}

// leave has each member's database nearly empty, in a file of some MiB.
func leave(t *testing.T, client *clientv3.Client) {
	t.Helper()
	value := string(make([]byte, 1<<20))
	var last int64
	for range 4 {
		put, err := client.Put(t.Context(), "/large", value)
		if err != nil {
			t.Fatal(err)
		}
		last = put.Header.Revision
	}
	for _, endpoint := range client.Endpoints() {
		if err := compact(t.Context(), client, endpoint, last); err != nil {
			t.Fatal(err)
		}
	}
	// A member counts its free space when it commits a write.
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if _, err := client.Put(t.Context(), "/tick", "x"); err != nil {
			t.Fatal(err)
		}
		done := 0
		for _, endpoint := range client.Endpoints() {
			if s, err := client.Status(t.Context(), endpoint); err == nil && s.DbSizeInUse*2 < s.DbSize {
				done++
			}
		}
		if done == len(client.Endpoints()) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d members have free space", done)
		}
	}
}

// By a schedule, only members with much free space have a turn, the leader last, while others
// write. History stays.
func TestRunBySchedule(t *testing.T) {
	client := startCluster(t, 3)
	leave(t, client)
	put, err := client.Put(t.Context(), "/history", "before")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(t.Context(), "/history", "after"); err != nil {
		t.Fatal(err)
	}
	// One writer for each member: a request may wait for a member's turn, but none fails.
	stop, failed := make(chan struct{}), make(chan error, 3)
	for _, endpoint := range client.Endpoints() {
		one, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = one.Close() })
		go func() {
			for {
				select {
				case <-stop:
					failed <- nil
					return
				default:
				}
				if _, err := one.Put(t.Context(), "/small", "x"); err != nil {
					failed <- fmt.Errorf("a write to %s: %w", endpoint, err)
					return
				}
				// The history of these writes must not use up the space that is free.
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
	turns := 0
	report, err := Run(t.Context(), client, Options{MinFree: 0.5}, func(m Member) {
		turns++
		status, err := client.Status(t.Context(), m.Endpoint)
		if err != nil || m.Skipped || m.After*2 > m.Before {
			t.Errorf("turn %d: %+v, %v", turns, m, err)
		}
		if leads := status.Leader == status.Header.MemberId; leads != (turns == 3) {
			t.Errorf("turn %d is of %s, which leads: %t", turns, m.Endpoint, leads)
		}
	})
	close(stop)
	for range 3 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if err != nil || turns != 3 || report.Revision != 0 || report.Disarmed {
		t.Fatalf("got %+v, %v", report, err)
	}
	old, err := client.Get(t.Context(), "/history", clientv3.WithRev(put.Header.Revision))
	if err != nil || len(old.Kvs) != 1 || string(old.Kvs[0].Value) != "before" {
		t.Errorf("History is gone: %v, %v", old, err)
	}

	// Another run would gain nothing.
	report, err = Run(t.Context(), client, Options{MinFree: 0.9}, func(Member) {})
	if err != nil || len(report.Members) != 3 {
		t.Fatalf("got %+v, %v", report, err)
	}
	for _, m := range report.Members {
		if !m.Skipped || m.Before != m.After {
			t.Errorf("got %+v", m)
		}
	}
	// A full etcd has everything done.
	fill(t, client, func(int) string { return "/large" })
	if report, err = Run(t.Context(), client, Options{MinFree: 0.9}, func(Member) {}); err != nil || !report.Disarmed || report.Revision == 0 {
		t.Errorf("got %+v, %v", report, err)
	}
}

// No member has a turn while another one is down: together they may be too few.
func TestRunNeedsHealth(t *testing.T) {
	client, stops := startMembers(t, 3)
	leave(t, client)
	var stopped string
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	report, err := Run(ctx, client, Options{MinFree: 0.5}, func(m Member) {
		if stopped != "" {
			t.Errorf("%s has a turn while %s is down", m.Endpoint, stopped)
			return
		}
		for endpoint, stop := range stops {
			if endpoint != m.Endpoint {
				stopped = endpoint
				stop()
				break
			}
		}
		// It would wait longer for the member.
		time.AfterFunc(5*time.Second, cancel)
	})
	if err == nil || len(report.Members) != 1 || !strings.Contains(err.Error(), "is not healthy") || !strings.Contains(err.Error(), "1 of 3 members were defragmented") {
		t.Errorf("got %+v, %v", report, err)
	}
	if _, err := Run(t.Context(), client, Options{MinFree: 0.5}, func(Member) {}); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("got %v", err)
	}
}

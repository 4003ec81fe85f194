// SPDX-License-Identifier: Apache-2.0

package etcdmaintenance

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
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
		t.Cleanup(e.Close)
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
	return client
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
	report, err := Run(t.Context(), client, func(Member) { told++ })
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

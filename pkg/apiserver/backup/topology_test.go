// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/acnodal/epic/pkg/registry/claims"
	"github.com/acnodal/epic/test/tools/freeport"
)

// cluster is an etcd of several members, each with sockets and a directory of its own.
type cluster struct {
	members []Member
	// clients are the members' endpoints.
	clients []string
	running []*embed.Etcd
}

func newCluster(t *testing.T, size int) *cluster {
	t.Helper()
	c := &cluster{running: make([]*embed.Etcd, size)}
	var all []string
	for i := range size {
		peer := "http://" + freeport.Address(t)
		name := fmt.Sprintf("epic-etcd-%d", i)
		all = append(all, name+"="+peer)
		c.members = append(c.members, Member{Name: name, PeerURLs: []string{peer}, InitialClusterToken: "before"})
		c.clients = append(c.clients, "http://"+freeport.Address(t))
	}
	for i := range c.members {
		c.members[i].InitialCluster = strings.Join(all, ",")
	}
	t.Cleanup(c.stop)
	return c
}

// start starts the members on the directories dir/NAME.
func (c *cluster) start(t *testing.T, dir string) {
	t.Helper()
	for i, m := range c.members {
		cfg := embed.NewConfig()
		cfg.Name, cfg.Dir, cfg.InitialCluster, cfg.InitialClusterToken = m.Name, filepath.Join(dir, m.Name), m.InitialCluster, m.InitialClusterToken
		peer, client := mustParse(t, m.PeerURLs[0]), mustParse(t, c.clients[i])
		cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
		cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
		cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
		cfg.UnsafeNoFsync = true
		member, err := embed.StartEtcd(cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.running[i] = member
	}
	for _, member := range c.running {
		select {
		case <-member.Server.ReadyNotify():
		case <-time.After(time.Minute):
			t.Fatal("The cluster does not get ready")
		}
	}
}

func (c *cluster) stop() {
	for i, member := range c.running {
		if member != nil {
			member.Close()
			c.running[i] = nil
		}
	}
}

func mustParse(t *testing.T, text string) url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return *u
}

func client(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(config(endpoints...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// A scheduled snapshot restores each topology: an etcd of three members, one of them away
// when the snapshot is taken, and an external etcd of one member. Servers start on it.
// TestFolderRestoresEmbedded has the embedded one.
func TestFolderRestoresClusters(t *testing.T) {
	for size, away := range map[int]int{1: -1, 3: 0} {
		t.Run(fmt.Sprintf("%d members", size), func(t *testing.T) {
			c := newCluster(t, size)
			c.start(t, tempDir(t))
			populate(t, c.clients...)
			etcd := client(t, c.clients...)
			revision := fill(t, etcd)
			if away >= 0 {
				c.running[away].Close()
				c.running[away] = nil
			}
			f := Folder{Dir: tempDir(t), Keep: 1, Prefix: "/epic"}
			cfg := config(c.clients...)
			saved, summary, err := f.SaveAndRecord(t.Context(), cfg, noon)
			if err != nil {
				t.Fatal(err)
			}
			if summary.Revision < revision {
				t.Errorf("The snapshot ends at revision %d, and etcd was at %d", summary.Revision, revision)
			}
			c.stop()

			dir := tempDir(t)
			for i := range c.members {
				c.members[i].InitialClusterToken = "after"
				if _, err := Restore(saved.File, filepath.Join(dir, c.members[i].Name), c.members[i]); err != nil {
					t.Fatal(err)
				}
			}
			c.start(t, dir)
			for _, endpoint := range c.clients {
				if got := count(t, client(t, endpoint)); got != keys {
					t.Errorf("%s has %d keys, want %d", endpoint, got, keys)
				}
			}
			populate(t, c.clients...)
			put, err := client(t, c.clients...).Put(t.Context(), "/k/new", "v")
			if err != nil || put.Header.Revision <= revision+RevisionBump {
				t.Errorf("After the restore the revision is %v, %v", put, err)
			}
		})
	}
}

// TestFolderRestoresEmbedded is the same for the server of one member and the standalone one.
func TestFolderRestoresEmbedded(t *testing.T) {
	dir := tempDir(t)
	server, etcd := start(t, filepath.Join(dir, "old"))
	populate(t, server.Endpoint())
	fill(t, etcd)
	f := Folder{Dir: filepath.Join(dir, "snapshots"), Keep: 1, Prefix: "/epic"}
	saved, _, err := f.SaveAndRecord(t.Context(), config(server.Endpoint()), noon)
	if err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if _, err := Restore(saved.File, filepath.Join(dir, "new"), Member{}); err != nil {
		t.Fatal(err)
	}
	server, etcd = start(t, filepath.Join(dir, "new"))
	if got := count(t, etcd); got != keys {
		t.Errorf("%d keys are restored, want %d", got, keys)
	}
	populate(t, server.Endpoint())
}

// populate does what a server does to etcd when it starts.
func populate(t *testing.T, endpoints ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cfg := storagebackend.Config{Prefix: "/epic", Transport: storagebackend.TransportConfig{ServerList: endpoints}}
	backend, err := claims.NewBackend(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := backend.Ready(ctx); err != nil {
		t.Error(err)
	}
	if err := backend.Close(); err != nil {
		t.Error(err)
	}
}

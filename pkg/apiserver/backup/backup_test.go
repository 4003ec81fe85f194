// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
)

const keys = 20

func tempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "backup-") //nolint:usetesting // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func start(t *testing.T, dir string) (*embedetcd.Server, *clientv3.Client) {
	t.Helper()
	server, err := embedetcd.Start(t.Context(), embedetcd.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return server, client
}

// fill writes keys and returns the revision after the last.
func fill(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	var revision int64
	for i := range keys {
		put, err := client.Put(t.Context(), fmt.Sprintf("/k/%d", i), "v")
		if err != nil {
			t.Fatal(err)
		}
		revision = put.Header.Revision
	}
	return revision
}

func count(t *testing.T, client *clientv3.Client) int64 {
	t.Helper()
	got, err := client.Get(t.Context(), "/k/", clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		t.Fatal(err)
	}
	return got.Count
}

// saveDataDir saves an embedded etcd, as the commands do.
func saveDataDir(ctx context.Context, dataDir, file string) (*Summary, error) {
	cfg, stop, err := HoldDataDir(ctx, dataDir)
	if err != nil {
		return nil, err
	}
	defer stop()
	return Save(ctx, cfg, file)
}

func TestRoundTrip(t *testing.T) {
	for name, running := range map[string]bool{"of a running server": true, "of a stopped server": false} {
		t.Run(name, func(t *testing.T) {
			dir := tempDir(t)
			server, client := start(t, filepath.Join(dir, "old"))
			revision := fill(t, client)
			if !running {
				server.Stop()
			}
			file := filepath.Join(dir, "snapshot")
			saved, err := saveDataDir(t.Context(), filepath.Join(dir, "old"), file)
			if err != nil {
				t.Fatal(err)
			}
			if saved.Revision != revision || saved.Keys != keys || saved.Bytes == 0 || len(saved.SHA256) != 64 {
				t.Errorf("The snapshot is said to hold %+v, want revision %d and %d keys", saved, revision, keys)
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 || info.Size() != saved.Bytes {
				t.Errorf("The file is %v, %v", info, err)
			}
			if running {
				if _, err := client.Put(t.Context(), "/k/after", "v"); err != nil {
					t.Errorf("The snapshot harmed the server that runs: %v", err)
				}
			}
			server.Stop()

			restored, err := Restore(file, filepath.Join(dir, "new"), Member{})
			if err != nil {
				t.Fatal(err)
			}
			_, client = start(t, filepath.Join(dir, "new"))
			if got := count(t, client); got != keys {
				t.Errorf("%d keys are restored, want %d", got, keys)
			}
			put, err := client.Put(t.Context(), "/k/new", "v")
			if err != nil {
				t.Fatal(err)
			}
			if put.Header.Revision <= restored.Revision || restored.Revision < revision+RevisionBump {
				t.Errorf("After the restore the revision is %d, said to be %d; it was %d", put.Header.Revision, restored.Revision, revision)
			}
			// A watch of before the restore must be told to begin again.
			watch := <-client.Watch(t.Context(), "/k/", clientv3.WithPrefix(), clientv3.WithRev(revision+1))
			if !errors.Is(watch.Err(), rpctypes.ErrCompacted) {
				t.Errorf("A watch from before the restore goes on: %v %v", watch.Events, watch.Err())
			}
		})
	}
}

// The members of a cluster are restored one by one and then find each other.
// One member is enough to see that names and addresses are taken over.
func TestRestoreMember(t *testing.T) {
	dir := tempDir(t)
	server, client := start(t, filepath.Join(dir, "old"))
	fill(t, client)
	file := filepath.Join(dir, "snapshot")
	if _, err := saveDataDir(t.Context(), filepath.Join(dir, "old"), file); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	cluster := "one=http://127.0.0.1:12380,two=http://127.0.0.1:22380"
	for name, peer := range map[string]string{"one": "http://127.0.0.1:12380", "two": "http://127.0.0.1:22380"} {
		target := filepath.Join(dir, name)
		if _, err := Restore(file, target, Member{Name: name, InitialCluster: cluster, InitialClusterToken: "t", PeerURLs: []string{peer}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(target, "member", "wal")); err != nil {
			t.Errorf("%s is not laid out as etcd wants it: %v", name, err)
		}
	}
	if _, err := Restore(file, filepath.Join(dir, "three"), Member{Name: "three", InitialCluster: cluster, PeerURLs: []string{"http://127.0.0.1:3"}}); err == nil {
		t.Error("A member that is not of the cluster is restored")
	}
	if _, err := os.Stat(filepath.Join(dir, "three", "member")); err == nil {
		t.Error("A refused restore left a directory that looks like data")
	}
}

func TestRefusals(t *testing.T) {
	dir := tempDir(t)
	old := filepath.Join(dir, "old")
	_, client := start(t, old)
	fill(t, client)
	good := filepath.Join(dir, "good")
	if _, err := saveDataDir(t.Context(), old, good); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	flipped := append([]byte(nil), content...)
	flipped[len(flipped)/2] ^= 1

	for name, test := range map[string]struct {
		run  func() error
		want string
	}{
		"save over a file":  {func() error { _, err := saveDataDir(t.Context(), old, good); return err }, "already exists"},
		"save of nothing":   {func() error { _, err := saveDataDir(t.Context(), dir, filepath.Join(dir, "x")); return err }, "no data of an embedded etcd"},
		"save into nowhere": {func() error { _, err := saveDataDir(t.Context(), old, filepath.Join(dir, "no", "x")); return err }, "no such file"},
		"restore over data": {func() error { _, err := Restore(good, old, Member{}); return err }, "not empty"},
		"restore of a cut file": {func() error {
			_, err := Restore(write("cut", content[:len(content)/2+7]), filepath.Join(dir, "n"), Member{})
			return err
		}, "truncated"},
		"restore of damage": {func() error {
			_, err := Restore(write("flipped", flipped), filepath.Join(dir, "n"), Member{})
			return err
		}, "damaged"},
		"restore of nothing": {func() error {
			_, err := Restore(filepath.Join(dir, "none"), filepath.Join(dir, "n"), Member{})
			return err
		}, "no such file"},
		"restore to nowhere": {func() error { _, err := Restore(good, "", Member{}); return err }, "--data-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.run()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("The error does not have %q: %v", test.want, err)
			}
		})
	}
	if after, err := os.ReadFile(good); err != nil || string(after) != string(content) {
		t.Errorf("The snapshot was changed: %v", err)
	}
	for _, left := range []string{"n", "x", "no"} {
		if _, err := os.Stat(filepath.Join(dir, left)); err == nil {
			t.Errorf("A refusal left %s behind", left)
		}
	}
	if parts, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(parts) > 0 {
		t.Errorf("Half files are left: %v", parts)
	}
}

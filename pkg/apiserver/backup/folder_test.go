// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/acnodal/epic/pkg/apiserver/embedetcd"
	"github.com/acnodal/epic/pkg/registry/claims"
)

var noon = time.Date(2026, 5, 6, 12, 0, 0, 0, time.UTC)

func config(endpoints ...string) clientv3.Config {
	return clientv3.Config{Endpoints: endpoints, DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
}

// filled starts an etcd that has what Folder takes for EPIC's data.
func filled(t *testing.T) (*embedetcd.Server, *clientv3.Client) {
	t.Helper()
	server, client := start(t, filepath.Join(tempDir(t), "data"))
	fill(t, client)
	if _, err := client.Put(t.Context(), "/epic"+claims.SchemaKeySuffix, claims.SchemaVersion); err != nil {
		t.Fatal(err)
	}
	return server, client
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		if e.Name() != lockFile {
			all = append(all, e.Name())
		}
	}
	return all
}

func TestFolderKeepsTheNewest(t *testing.T) {
	server, client := filled(t)
	f := Folder{Dir: filepath.Join(tempDir(t), "snapshots"), Keep: 2, Prefix: "/epic"}
	for hour := range 4 {
		saved, summary, err := f.SaveAndRecord(t.Context(), config(server.Endpoint()), noon.Add(time.Duration(hour)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Inspect(saved.File); err != nil || again.SHA256 != summary.SHA256 {
			t.Errorf("The snapshot is %+v, %v", again, err)
		}
		if info, err := os.Stat(saved.File); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("The file is %v, %v", info, err)
		}
		record, err := ReadRecord(t.Context(), client, "/epic")
		if err != nil || record == nil || *record != (Record{Time: saved.Time.Unix(), Revision: summary.Revision, Bytes: summary.Bytes}) {
			t.Errorf("The record is %+v, %v", record, err)
		}
		// Files that are not snapshots of the schedule stay, and unfinished ones go.
		for _, name := range []string{"epic.db", "epic-20260506.db", "epic-20200101T000000Z.db.unverified.part"} {
			if err := os.WriteFile(filepath.Join(f.Dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.removeUnverified(); err != nil {
		t.Fatal(err)
	}
	want := []string{"epic-20260506.db", "epic-20260506T140000Z.db", "epic-20260506T150000Z.db", "epic.db"}
	if got := names(t, f.Dir); !slices.Equal(got, want) {
		t.Errorf("The folder has %v, want %v", got, want)
	}
	if newest, err := f.Find(""); err != nil || !newest.Time.Equal(noon.Add(3*time.Hour)) {
		t.Errorf("The newest is %v, %v", newest, err)
	}
	if _, err := f.Find("epic-20260506T120000Z.db"); err == nil || !strings.Contains(err.Error(), "backup list") {
		t.Errorf("A snapshot that was removed: %v", err)
	}
	if _, _, err := f.Save(t.Context(), config(server.Endpoint()), noon.Add(3*time.Hour)); err == nil {
		t.Error("A snapshot was replaced")
	}
}

// A failure leaves the snapshots that are there, and nothing else.
func TestFolderFailures(t *testing.T) {
	server, client := filled(t)
	good := config(server.Endpoint())
	for name, tc := range map[string]struct {
		change func(t *testing.T, f *Folder) clientv3.Config
		want   []string
	}{
		"full disk": {func(_ *testing.T, f *Folder) clientv3.Config {
			f.free = func(string) (uint64, error) { return 100, nil }
			return good
		}, []string{"100 are free", "enlarge the volume", "--backup-keep"}},
		"no etcd": {func(*testing.T, *Folder) clientv3.Config { return config("unix:///none/etcd.sock") }, []string{"/none/etcd.sock", "existing ones stay"}},
		"lost data": {func(t *testing.T, _ *Folder) clientv3.Config {
			empty, _ := start(t, filepath.Join(tempDir(t), "empty"))
			return config(empty.Endpoint())
		}, []string{"none of EPIC's data", "restore a snapshot"}},
		"another prefix": {func(_ *testing.T, f *Folder) clientv3.Config {
			f.Prefix = "/other"
			return good
		}, []string{"/other", "--etcd-prefix"}},
		"another process": {func(t *testing.T, f *Folder) clientv3.Config {
			lock, err := fileutil.TryLockFile(filepath.Join(f.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { lock.Close() })
			return good
		}, []string{"another process"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := Folder{Dir: tempDir(t), Keep: 1, Prefix: "/epic"}
			former, _, err := f.Save(t.Context(), good, noon)
			if err != nil {
				t.Fatal(err)
			}
			cfg := tc.change(t, &f)
			_, _, err = f.SaveAndRecord(t.Context(), cfg, noon.Add(time.Hour))
			for _, want := range tc.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("The error does not have %q: %v", want, err)
				}
			}
			if got := names(t, f.Dir); !slices.Equal(got, []string{filepath.Base(former.File)}) {
				t.Errorf("The folder has %v", got)
			}
		})
	}
	if record, err := ReadRecord(t.Context(), client, "/epic"); err != nil || record != nil {
		t.Errorf("A failure was recorded: %v, %v", record, err)
	}
	f := Folder{Dir: tempDir(t), Keep: 3}
	if err := f.explain(syscall.EDQUOT); !errors.Is(err, syscall.EDQUOT) || !strings.Contains(err.Error(), "--backup-keep") {
		t.Errorf("The error of a quota is %v", err)
	}
}

// Fewer to keep make room for the next one.
func TestFolderMakesRoom(t *testing.T) {
	server, _ := filled(t)
	f := Folder{Dir: tempDir(t), Keep: 3, Prefix: "/epic"}
	for hour := range 3 {
		if _, _, err := f.Save(t.Context(), config(server.Endpoint()), noon.Add(time.Duration(hour)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	f.free = func(dir string) (uint64, error) {
		if len(names(t, dir)) > 2 {
			return 0, nil
		}
		return 1 << 40, nil
	}
	f.Keep = 2
	if _, _, err := f.Save(t.Context(), config(server.Endpoint()), noon.Add(4*time.Hour)); err != nil {
		t.Error(err)
	}
	if got := names(t, f.Dir); len(got) != 2 {
		t.Errorf("The folder has %v", got)
	}
}

// A record must not keep a server from starting on an etcd that has lost its data.
func TestNoRecordWithoutData(t *testing.T) {
	_, client := start(t, filepath.Join(tempDir(t), "data"))
	f := Folder{Prefix: "/epic"}
	if err := f.WriteRecord(t.Context(), client, &Saved{Time: noon}, &Summary{}); !errors.Is(err, errNoData) {
		t.Errorf("The error is %v", err)
	}
	if got, err := client.Get(t.Context(), "/epic", clientv3.WithPrefix()); err != nil || got.Count != 0 {
		t.Errorf("There are %v, %v", got, err)
	}
}
